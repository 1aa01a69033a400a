"""What the integrations are tried on."""

DOCUMENTS = ["moon over the city", "bread and water", "tea in a quiet house"]
QUERY = "what is baked?"
