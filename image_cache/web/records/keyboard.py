"""The keys, as they are listed for people. `static/js/shared/keys.js` acts on them."""

KEYS = (
    (
        "Go",
        (
            ("Search", ("/",)),
            ("Spin a record", ("S",)),
            ("Records", ("G", "R")),
            ("Streams", ("G", "S")),
            ("Dashboard", ("G", "D")),
            ("About", ("G", "A")),
        ),
    ),
    (
        "On the wall",
        (
            ("Move", ("←", "↑", "→", "↓")),
            ("Open", ("Enter",)),
            ("First, last", ("Home", "End")),
            ("Jump to a letter", ("Shift", "A to Z")),
            ("Smaller, larger", ("-", "+")),
        ),
    ),
    ("On a record", (("Previous, next", ("←", "→")), ("I played it", ("P",)), ("Back to the wall", ("Esc",)))),
    ("In a stream", (("Previous, next", ("←", "→")), ("Nearer", ("Z",)), ("Back to the stream", ("Esc",)))),
    ("Anywhere", (("This sheet", ("?",)), ("Close", ("Esc",)))),
)
