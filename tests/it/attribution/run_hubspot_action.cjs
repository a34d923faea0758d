// Runs the action as HubSpot does: node run_hubspot_action.cjs <input fields as JSON>
const { main } = require('./hubspot_action.cjs');
main({ inputFields: JSON.parse(process.argv[2]) }, (answer) => console.log(JSON.stringify(answer)));
