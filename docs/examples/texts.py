"""A few texts in several languages for the examples; yours come from files."""

DOCUMENTS = [
    "The sea is 3.7 km deep on average.",
    "Für Mieter gilt eine Kündigungsfrist von drei Monaten.",
    "パンは小麦粉と水と塩と酵母から作ります。",
    "Un vulcano erutta quando il magma risale.",
    "Bread is baked from flour, water, salt and yeast.",
    "Tenants must give three months' notice.",
    "La mer a une profondeur moyenne de 3,7 km.",
    "The sea is on average 3.7 km deep.",
    "Wenn Magma aufsteigt, bricht ein Vulkan aus.",
    "El pan se hace con harina, agua, sal y levadura.",
    "Вулкан извергается, когда поднимается магма.",
    "El inquilino debe avisar con tres meses de antelación.",
    "바다의 평균 깊이는 3.7 km입니다.",
]
