// The custom code action of a HubSpot workflow: a deal that moved to another stage becomes a conversion event.
exports.main = async (event, callback) => {
  const deal = event.inputFields;
  const answer = await fetch(`${process.env.ACCORD_API}/attribution/events`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${process.env.ACCORD_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      userId: deal.contact_email,
      type: 'opportunity_won',
      value: parseFloat(deal.amount),
      currency: deal.deal_currency_code || 'USD',
      metadata: { hubspot_deal_id: deal.hs_object_id, stage: deal.dealstage },
    }),
  });
  callback({ outputFields: { status: answer.status } });
};
