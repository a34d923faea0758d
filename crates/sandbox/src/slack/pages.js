// Shows what is new without a reload, and leaves alone what somebody fills in.
const parts = ['messages', 'modal'];
function fill() {
  document.querySelector('#dialog-form textarea, #dialog-form input:not([type=hidden]), #dialog-form select')?.focus();
}
async function look() {
  try {
    const answer = await fetch(location.href);
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const id of parts) {
        const [now, then] = [fresh.getElementById(id), document.getElementById(id)];
        if (now && then && now.dataset.mark !== then.dataset.mark) {
          then.replaceWith(now);
          if (id === 'modal') fill();
        }
      }
    }
  } catch { /* the sandbox is away for a moment */ }
  setTimeout(look, 700);
}
document.addEventListener('submit', event => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') document.getElementById('close')?.click();
});
document.getElementById('who')?.addEventListener('change', event => event.target.form.submit());
fill();
setTimeout(look, 700);
