curl -sS -X POST '{{ url }}' \
  -H 'Authorization: Bearer {{ key }}' \
  -H 'Content-Type: application/json' \
  -d '{"userId": "buyer@example.com", "type": "opportunity_won", "value": 4500.00, "currency": "USD",
       "metadata": {"deal_id": "0061k00000ABC", "stage": "Closed Won"}}'
