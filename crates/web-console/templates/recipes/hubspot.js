// A HubSpot workflow on deals, started by the stage Closed Won: add "Custom code", language Node.js.
// Input fields: contact_email (of the associated contact), amount, deal_currency_code, hs_object_id, dealstage.
// Output field: status (number).
exports.main = async (event, callback) => {
  const deal = event.inputFields;
  const amount = parseFloat(deal.amount);
  const answer = await fetch('{{ url }}', {
    method: 'POST',
    headers: {
      Authorization: 'Bearer {{ key }}',
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({
      userId: deal.contact_email,
      type: 'opportunity_won',
      value: Number.isFinite(amount) ? amount : undefined,
      currency: deal.deal_currency_code || 'USD',
      metadata: { hubspot_deal_id: deal.hs_object_id, stage: deal.dealstage },
    }),
  });
  // HubSpot tries again what fails for the moment; a repeat of the same deal is one event.
  if (answer.status === 429 || answer.status >= 500) throw new Error(`Accord answered ${answer.status}`);
  callback({ outputFields: { status: answer.status } });
};
