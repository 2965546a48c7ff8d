"""Words: names, titles, advertisements, prose. Everything here was written for this project."""

from __future__ import annotations

NAMES = (
    "Mira", "Tobin", "Odile", "Pax", "Juno", "Bruno", "Wren", "Silas", "Tilda", "Kofi", "Noor", "Enzo", "Hana", "Ravi",
    "Lotte", "Dario", "Suki", "Amos", "Vera", "Ivo", "Zuri", "Felix", "Greta", "Milo", "Nadia", "Otto", "Pia", "Quill",
    "Rosa", "Sven", "Thea", "Ugo", "Yara", "Basil", "Cleo", "Fenn", "Ines", "Jasper", "Kaya", "Linus",
)  # fmt: skip

SERIES_FIRST = (
    "Harbour", "Lantern", "Copper", "Midnight", "Paper", "Thunder", "Velvet", "Orchard", "Signal", "Marble", "Comet",
    "Winter", "Tin", "Salt", "Cloud", "Ember",
)  # fmt: skip
SERIES_SECOND = (
    "Lights", "Street", "Patrol", "Tales", "Club", "Express", "Days", "Riddles", "Company", "Station", "Squad",
    "Letters",
)  # fmt: skip

ITEMS = (
    "brass key", "blue lantern", "lost map", "silver bell", "clockwork bird", "music box", "red kite", "glass compass",
    "secret recipe", "golden ticket", "moon seed", "old radio",
)  # fmt: skip
PLACES = (
    "the lighthouse", "the old mill", "the night market", "the tram depot", "the clock tower", "the frozen lake",
    "the fern valley", "the roof garden", "the ferry pier", "the observatory",
)  # fmt: skip
TROUBLES = (
    "the storm", "the flood", "a power cut", "the mayor's auction", "the last train", "the big parade", "the tide",
    "the fog", "the inspection", "the eclipse",
)  # fmt: skip
FOODS = ("dumplings", "plum cake", "hot soup", "pancakes", "noodles", "cheese toast", "berry pie", "ginger tea")
SOUNDS = (
    "CRASH!",
    "BOOM!",
    "WHOOSH!",
    "CLANG!",
    "THUD!",
    "ZAP!",
    "CRACK!",
    "SPLASH!",
    "RRRING!",
    "KA-POW!",
    "SNAP!",
    "VROOM!",
)
TAGLINES = (
    "A mystery in every drawer!", "All new! All true! Almost!", "They only wanted breakfast...", "Who took the {item}?",
    "Adventure before bedtime!", "The chase to {place}!", "This time it is personal!", "Featuring {B} as never before!",
)  # fmt: skip

GOODS = (
    ("STARDUST SOAP", "Washes ink off in one go", "Only 9 pence!"),
    ("GRAVITY BOOTS", "Walk on the ceiling like a pro", "Order today!"),
    ("X-TRA LOUD WHISTLE", "Calls dogs, cats and trams", "Money back if quiet"),
    ("PROFESSOR PLUM'S TONIC", "For heroes on the run", "Now in cherry"),
    ("BUILD A ROBOT", "400 parts, 1 screwdriver", "Some parts may walk away"),
    ("MOON CHEESE", "Fresh from the dark side", "Ask your grocer"),
    ("SEA BUTTERFLIES", "Just add water and wait", "Send a stamp"),
    ("THE TURBO SLED", "Faster than last winter", "Brakes sold apart"),
)
AD_LINES = (
    "Thousands of happy readers already have one.", "Tell your friends before they tell you.",
    "Send this coupon to Box 12, Paper Street.", "No glue. No batteries. No regrets.",
    "As seen on page seven of every good comic.", "Tested by experts who wish to stay unnamed.",
)  # fmt: skip

PROSE = (
    "Nobody in the street could say when the {item} had first gone missing.",
    "{A} had asked the baker, the tram driver and both of the twins from number nine.",
    "Each had seen something, and no two had seen the same thing.",
    "That night the wind came in from {place} and rattled every shutter.",
    "{B} sat by the stove with a bowl of {food} and refused to worry.",
    '"It will turn up," said {B}. "Things that are looked for always do."',
    "But {C} was already on the stairs, counting the steps under the breath.",
    "A lamp went out, then another, until only the moon was left to read by.",
    "In the morning there were footprints on the roof, small ones, in a perfect line.",
    "They led past the chimneys and stopped where the gutter ends.",
    "{A} wrote it all down in the green book and drew a careful map.",
    "There was one name on the map that had not been there before.",
    "By noon {trouble} was the only thing that anybody talked about.",
    "The clock struck thirteen, which it did only when it was frightened.",
    "And at the bottom of the page, in pencil: do not go alone.",
    "So, of course, all of them went together.",
    "The tram was late, and then it was early, and then it was somebody else's tram.",
    "{B} paid with a button, which the driver bit and found to be genuine.",
    "From the last stop it is a long walk to {place}, longer in the rain.",
    "Half way there {C} began to whistle, very softly, the tune of the {item}.",
    '"Where did you hear that?" asked {A}. The whistling stopped.',
    '"My grandmother had one," said {C}, "or this one. It is hard to be sure."',
    "Nobody spoke for the length of eleven lamp posts.",
    "Then {B} opened the basket, and there was {food} for everyone.",
    "It is difficult to be cross with anybody over {food}.",
    "By the time the sky turned grey they had a plan, and by sunrise a better one.",
    "What came of it the neighbours tell in four different ways.",
    "They agree only on the end: that a light was seen at {place}, and that somebody laughed.",
)

LETTERS = (
    "Dear editors, my sister says that {A} could never outrun a tram. Please settle this.",
    "Dear editors, I read every issue twice, once forwards. More {B} please!",
    "Dear editors, where can one buy {food} as good as in issue two?",
    "Dear editors, {C} is misunderstood. Yours, a friend.",
)

CREDITS = (
    "Story", "Pencils", "Inks", "Colours", "Letters", "Design", "Editing", "Tea",
)  # fmt: skip
