# ruff: noqa: RUF001, SIM905  names in many scripts; lists of words

"""A collection of records to measure and try the search with, the same ones each time.

Some 120 records that exist stand in every collection. The others are drawn: words by a Zipf law, names from syllables, so that the
vocabulary grows as that of a real collection does.
"""

import itertools
import random
from collections.abc import Iterator

from image_cache.import_models import ImportRow
from image_cache.models import Track

# artist | title | year | label | catalogue number | barcode | formats | genre | styles | tracks (;) | notes
REAL = """
The Beatles|Abbey Road|1969|Apple Records|PCS 7088||LP, Album, Stereo|Rock|Pop Rock|Come Together;Something;Here Comes The Sun;Because|
The Beatles|Revolver|1966|Parlophone|PMC 7009||LP, Album, Mono|Rock|Beat, Psychedelic Rock|Taxman;Eleanor Rigby;Tomorrow Never Knows|
Beatles, The|Love Me Do|1962|Parlophone|45-R 4949||7", 45 RPM, Single|Rock|Beat|Love Me Do;P.S. I Love You|
Miles Davis|Kind Of Blue|1959|Columbia|CL 1355|5099706493525|LP, Album, Mono|Jazz|Modal|So What;Freddie Freeloader;Blue In Green;All Blues|six-eye label
Miles Davis|Bitches Brew|1970|Columbia|GP 26||2xLP, Album|Jazz|Fusion|Pharaoh's Dance;Spanish Key|
Miles Davis Quintet|Cookin' With The Miles Davis Quintet|1957|Prestige|PRLP 7094||LP, Album|Jazz|Hard Bop|My Funny Valentine;Airegin|
John Coltrane|Blue Train|1958|Blue Note|BLP 1577||LP, Album, Mono|Jazz|Hard Bop|Blue Train;Moment's Notice;Lazy Bird|
John Coltrane|A Love Supreme|1965|Impulse!|A-77||LP, Album, Stereo|Jazz|Modal, Free Jazz|Acknowledgement;Resolution;Pursuance;Psalm|
Art Blakey And The Jazz Messengers|Moanin'|1959|Blue Note|BLP 4003||LP, Album|Jazz|Hard Bop|Moanin';Along Came Betty|
Dave Brubeck Quartet, The|Time Out|1959|Columbia|CS 8192||LP, Album, Stereo|Jazz|Cool Jazz|Blue Rondo A La Turk;Take Five|
Charles Mingus|Mingus Ah Um|1959|Columbia|CL 1370||LP, Album, Mono|Jazz|Post Bop|Better Git It In Your Soul;Goodbye Pork Pie Hat|
Bill Evans Trio|Live At The Blue Note Club|1961|Riverside|RLP 9376||LP|Jazz|Cool Jazz|Gloria's Step;My Man's Gone Now|
Led Zeppelin|Led Zeppelin IV|1971|Atlantic|SD 7208|0075678263811|LP, Album|Rock|Hard Rock, Classic Rock|Black Dog;Rock And Roll;Stairway To Heaven|
Led Zeppelin|Houses Of The Holy|1973|Atlantic|K 50014||LP, Album|Rock|Hard Rock|No Quarter;D'yer Mak'er|
AC/DC|Back In Black|1980|Atlantic|K 50735|0075678161814|LP, Album|Rock|Hard Rock|Hells Bells;Shoot To Thrill;Back In Black|
AC/DC|Highway To Hell|1979|Atlantic|K 50628||LP, Album|Rock|Hard Rock|Highway To Hell;Girls Got Rhythm|
R.E.M.|Murmur|1983|I.R.S. Records|SP-70604||LP, Album|Rock|Alternative Rock, Jangle Pop|Radio Free Europe;Talk About The Passion|
R.E.M.|Automatic For The People|1992|Warner Bros. Records|9362-45055-1|0093624505518|LP, Album|Rock|Alternative Rock|Drive;Everybody Hurts;Man On The Moon|
The The|Soul Mining|1983|Epic|EPC 25525||LP, Album|Electronic|New Wave, Synth-pop|This Is The Day;Uncertain Smile|
The The|Infected|1986|Epic|EPC 26770||LP, Album|Electronic|New Wave|Infected;Heartland|
Low|Things We Lost In The Fire|2001|Kranky|krank 046||2xLP, Album|Rock|Slowcore|Sunflower;Dinosaur Act|
Low|Double Negative|2018|Sub Pop|SP1250|0098787125016|LP, Album|Rock|Slowcore, Experimental|Quorum;Dancing And Blood|
David Bowie|"Heroes"|1977|RCA|PL 12522||LP, Album|Rock|Art Rock|Beauty And The Beast;"Heroes"|
David Bowie|Low|1977|RCA Victor|PL 12030||LP, Album|Rock|Art Rock, Ambient|Speed Of Life;Sound And Vision;Warszawa|
The Who|Who's Next|1971|Track Record|2408 102||LP, Album|Rock|Classic Rock|Baba O'Riley;Behind Blue Eyes|
The Who|Tommy|1969|Track Record|613013/4||2xLP, Album|Rock|Rock Opera|Overture;Pinball Wizard|
Guess Who, The|American Woman|1970|RCA Victor|LSP-4266||LP, Album|Rock|Classic Rock|American Woman;No Time|
Yes|Close To The Edge|1972|Atlantic|K 50012||LP, Album|Rock|Prog Rock|Close To The Edge;And You And I|
Can|Tago Mago|1971|United Artists Records|UAS 29 211/12 X||2xLP, Album|Rock|Krautrock|Paperhouse;Mushroom;Halleluhwah|
Can|Ege Bamyasi|1972|United Artists Records|UAS 29 414||LP, Album|Rock|Krautrock|Pinch;Vitamin C;Spoon|
Neu!|Neu! 75|1975|Brain|brain 1062||LP, Album|Electronic|Krautrock|Isi;Hero|
Kraftwerk|Autobahn|1974|Philips|6305 231||LP, Album|Electronic|Krautrock|Autobahn;Kometenmelodie 1|
Kraftwerk|Die Mensch·Maschine|1978|Kling Klang|1C 058-32 843||LP, Album|Electronic|Electro|Die Roboter;Das Model|
Tangerine Dream|Phaedra|1974|Virgin|V 2010||LP, Album|Electronic|Berlin-School, Ambient|Phaedra;Mysterious Semblance|
Einstürzende Neubauten|Halber Mensch|1985|What's So Funny About..|SF 17||LP, Album|Electronic|Industrial|Halber Mensch;Yü-Gung (Fütter Mein Ego)|
Die Ärzte|Debil|1984|CBS|CBS 26 187||LP, Album|Rock|Punk|Paul;Zu Spät|
Nina Hagen Band|Unbehagen|1979|CBS|CBS 84 159||LP, Album|Rock|Punk, New Wave|African Reggae;Alptraum|
Björk|Homogenic|1997|One Little Indian|TPLP71|5016958037611|LP, Album|Electronic|Trip Hop, IDM|Hunter;Jóga;Bachelorette|
Björk|Debut|1993|One Little Indian|TPLP31||LP, Album|Electronic|House, Downtempo|Human Behaviour;Venus As A Boy|
Sigur Rós|Ágætis Byrjun|1999|Fat Cat Records|FATLP11||2xLP, Album|Rock|Post Rock|Svefn-g-englar;Starálfur|
Motörhead|Ace Of Spades|1980|Bronze|BRON 531||LP, Album|Rock|Heavy Metal|Ace Of Spades;Love Me Like A Reptile|
Queensrÿche|Operation: Mindcrime|1988|EMI|EMC 3548||LP, Album|Rock|Heavy Metal|Revolution Calling;Eyes Of A Stranger|
Mötley Crüe|Dr. Feelgood|1989|Elektra|60829-1||LP, Album|Rock|Glam|Dr. Feelgood;Kickstart My Heart|
Łódź Underground|Miasto Nocą|1987|Polskie Nagrania|SX 2455||LP|Electronic|Coldwave|Piotrkowska;Fabryka|
Czesław Niemen|Enigmatic|1970|Polskie Nagrania Muza|SXL 0576||LP, Album|Rock|Prog Rock|Bema Pamięci Żałobny Rapsod|
MØ|No Mythologies To Follow|2014|Chess Club Records|88843028441||LP, Album|Pop|Synth-pop|Fire Rides;Maiden|
Röyksopp|Melody A.M.|2001|Wall Of Sound|WALLLP027||2xLP, Album|Electronic|Downtempo|So Easy;Eple|
!!!|Myth Takes|2007|Warp Records|WARPLP154||2xLP, Album|Electronic|Disco, Dance-punk|Myth Takes;Must Be The Moon|
!!!|Louden Up Now|2004|Touch And Go|TG250||2xLP, Album|Electronic|Dance-punk|When The Going Gets Tough;Pardon My Freedom|
Sunn O)))|Monoliths & Dimensions|2009|Southern Lord|sunn100||2xLP, Album|Rock|Drone, Doom Metal|Aghartha;Alice|
Sunn O)))|Black One|2005|Southern Lord|sunn50||2xLP, Album|Rock|Drone|Sin Nanna;It Took The Night To Believe|
M83|Hurry Up, We're Dreaming|2011|Naïve|NV824111||2xLP, Album|Electronic|Synth-pop|Intro;Midnight City|
U2|War|1983|Island Records|ILPS 9733||LP, Album|Rock|Post-Punk|Sunday Bloody Sunday;New Year's Day|
X|Los Angeles|1980|Slash|SR-104||LP, Album|Rock|Punk|Your Phone's Off The Hook, But You're Not;Los Angeles|
A Tribe Called Quest|The Low End Theory|1991|Jive|HIP 117||LP, Album|Hip Hop|Conscious, Boom Bap|Excursions;Check The Rhime|
Prince|1999|1982|Warner Bros. Records|1-23720||2xLP, Album|Funk / Soul|Minneapolis Sound|1999;Little Red Corvette|
Prince And The Revolution|Purple Rain|1984|Warner Bros. Records|25110-1|0075992511018|LP, Album|Funk / Soul|Synth-pop|Let's Go Crazy;When Doves Cry;Purple Rain|
Taylor Swift|1989|2014|Big Machine Records|BMRBD0550A||2xLP, Album|Pop|Synth-pop|Welcome To New York;Blank Space|
10cc|Sheet Music|1974|UK Records|UKAL 1007||LP, Album|Rock|Art Rock|The Wall Street Shuffle;Silly Love|
2Pac|All Eyez On Me|1996|Death Row Records|314-524 204-1||4xLP, Album|Hip Hop|Gangsta|Ambitionz Az A Ridah;California Love|
3|Three To Get Ready|1988|Geffen Records|GHS 24181||LP, Album|Rock|Prog Rock|Talkin' 'Bout;Lover To Lover|
808 State|90|1989|ZTT|ZTT 2||LP, Album|Electronic|Acid House|Magical Dream;Pacific 202|
Adele|21|2011|XL Recordings|XLLP 520|0634904052010|LP, Album|Pop|Soul|Rolling In The Deep;Someone Like You|
Chicago|17|1984|Full Moon|25060-1||LP, Album|Rock|Soft Rock|Stay The Night;Hard Habit To Break|
Blur|13|1999|Food|FOODLP 29||2xLP, Album|Rock|Indie Rock, Britpop|Tender;Coffee & TV|
Simon & Garfunkel|Bridge Over Troubled Water|1970|Columbia|KCS 9914||LP, Album|Rock|Folk Rock|The Boxer;Cecilia|
Crosby, Stills, Nash & Young|Déjà Vu|1970|Atlantic|SD 7200||LP, Album|Rock|Folk Rock|Carry On;Teach Your Children|
Earth, Wind & Fire|I Am|1979|ARC|FC 35730||LP, Album|Funk / Soul|Disco, Soul|In The Stone;Boogie Wonderland|
Blood, Sweat And Tears|Child Is Father To The Man|1968|Columbia|CS 9619||LP, Album|Rock|Jazz-Rock|Overture;I Love You More Than You'll Ever Know|
Duke Ellington & John Coltrane|Duke Ellington & John Coltrane|1963|Impulse!|A-30||LP, Album|Jazz|Post Bop|In A Sentimental Mood;Take The Coltrane|
Nick Cave & The Bad Seeds|The Boatman's Call|1997|Mute|STUMM 142||LP, Album|Rock|Alternative Rock|Into My Arms;People Ain't No Good|
Sly & The Family Stone|There's A Riot Goin' On|1971|Epic|KE 30986||LP, Album|Funk / Soul|Funk|Luv N' Haight;Family Affair|
Guns N' Roses|Appetite For Destruction|1987|Geffen Records|GHS 24148||LP, Album|Rock|Hard Rock|Welcome To The Jungle;Sweet Child O' Mine|
Sinéad O'Connor|I Do Not Want What I Haven't Got|1990|Ensign|CHEN 14||LP, Album|Rock|Pop Rock|Nothing Compares 2 U;Black Boys On Mopeds|
Portishead|Dummy|1994|Go! Beat|828 522-1|0042282852212|LP, Album|Electronic|Trip Hop|Mysterons;Sour Times;Glory Box|
Massive Attack|Mezzanine|1998|Virgin|WBRLP 4||2xLP, Album|Electronic|Trip Hop|Angel;Teardrop|
Boards Of Canada|Music Has The Right To Children|1998|Warp Records|WARP LP55||2xLP, Album|Electronic|IDM, Downtempo|Roygbiv;Aquarius|
Aphex Twin|Selected Ambient Works 85-92|1992|Apollo|AMB LP 3922||2xLP, Album|Electronic|Ambient, IDM|Xtal;Heliosphan|
Autechre|LP5|1998|Warp Records|WARPLP66||2xLP, Album|Electronic|IDM|Acroyear2;Rae|
Fela Kuti|Zombie|1977|Coconut|PMLP 1001||LP, Album|Funk / Soul|Afrobeat|Zombie;Mister Follow Follow|
Bob Marley & The Wailers|Exodus|1977|Island Records|ILPS 9498||LP, Album|Reggae|Roots Reggae|Natural Mystic;Jamming;One Love|
King Tubby|Dub From The Roots|1974|Total Sounds|TSL 104||LP|Reggae|Dub|Dub From The Roots;Declaration Of Dub|
Ludwig van Beethoven, Wilhelm Furtwängler|Symphonie Nr. 9|1955|His Master's Voice|ALP 1286/7||2xLP, Mono|Classical|Romantic|Allegro Ma Non Troppo;Ode An Die Freude|
Beethoven, Carlos Kleiber, Wiener Philharmoniker|Symphonie Nr. 5|1975|Deutsche Grammophon|2530 516||LP|Classical|Romantic|Allegro Con Brio;Andante Con Moto|
Glenn Gould, Johann Sebastian Bach|The Goldberg Variations|1956|Columbia Masterworks|ML 5060||LP, Mono|Classical|Baroque|Aria;Variatio 1|
Antonín Dvořák|Symphony No. 9 "From The New World"|1965|Supraphon|SUA ST 50582||LP|Classical|Romantic|Adagio;Largo|
椎名林檎|無罪モラトリアム|1999|東芝EMI|TOJT-24065||LP, Album|Rock|J-Rock|正しい街;歌舞伎町の女王;丸ノ内サディスティック|
細野晴臣|はらいそ|1978|Alfa|ALR-6003||LP, Album|Electronic|Exotica|東京ラッシュ;四面道歌|
大貫妙子|Sunshower|1977|Panam|GW-4029||LP, Album|Pop|City Pop|Summer Connection;くすりをたくさん|
한대수|멀고 먼 길|1974|신세계|SIN 1001||LP, Album|Folk|Folk Rock|물 좀 주소;행복의 나라로|
王菲|寓言|2000|EMI|7243-5-28|| LP, Album|Pop|Mandopop|寒武紀;新房客|
Кино|Группа крови|1988|Мелодия|С60 27613||LP, Album|Rock|Post-Punk|Группа крови;Закрой за мной дверь|
Μάνος Χατζιδάκις|Ο Μεγάλος Ερωτικός|1972|Νότος|3901||LP, Album|Folk|Laika|Πάρθη;Του Μικρού Βοριά|
أم كلثوم|انت عمري|1964|صوت القاهرة|SC 22131||LP|Folk|Tarab|انت عمري|
שלמה ארצי|גבר הולך לאיבוד|1978|הד ארצי|BAN 14588||LP, Album|Rock|Folk Rock|גבר הולך לאיבוד|
The Velvet Underground & Nico|The Velvet Underground & Nico|1967|Verve Records|V6-5008||LP, Album|Rock|Experimental|Sunday Morning;Heroin|banana sticker unpeeled
Pink Floyd|The Wall|1979|Harvest|SHDW 411||2xLP, Album|Rock|Prog Rock|In The Flesh?;Another Brick In The Wall;Comfortably Numb|
Pink Floyd|The Dark Side Of The Moon|1973|Harvest|SHVL 804|5099902987613|LP, Album|Rock|Prog Rock|Speak To Me;Time;Money|
Joy Division|Unknown Pleasures|1979|Factory|FACT 10||LP, Album|Rock|Post-Punk|Disorder;She's Lost Control|
New Order|Blue Monday|1983|Factory|FAC 73||12", 45 RPM, Single|Electronic|Synth-pop|Blue Monday;The Beach|die-cut floppy sleeve
Donna Summer|I Feel Love|1977|Casablanca|CANX 104||12", Single|Electronic|Disco|I Feel Love|
Frankie Knuckles|Your Love|1987|Trax Records|TX150||12"|Electronic|House|Your Love;Baby Wants To Ride|
Various|Studio One Rockers|2001|Soul Jazz Records|SJR LP48||2xLP, Compilation|Reggae|Rocksteady|Armagideon Time;Skylarking|
Various|Nuggets|1972|Elektra|7E-2006||2xLP, Compilation|Rock|Garage Rock|I Had Too Much To Dream;Dirty Water|
Various|No New York|1978|Antilles|AN-7067||LP, Compilation|Rock|No Wave|Dish It Out;Helen Fordsdale|
Bessie Smith|Downhearted Blues|1923|Columbia|A3844||Shellac, 10", 78 RPM|Blues|Classic Blues|Downhearted Blues;Gulf Coast Blues|
Robert Johnson|King Of The Delta Blues Singers|1961|Columbia|CL 1654||LP, Compilation, Mono|Blues|Delta Blues|Crossroads Blues;Terraplane Blues|
Johnny Cash|At Folsom Prison|1968|Columbia|CS 9639||LP, Album|Country|Country|Folsom Prison Blues;Jackson|
ABBA|Arrival|1976|Polydor|2344 058||LP, Album|Pop|Europop|Dancing Queen;Knowing Me, Knowing You|
Talk Talk|Spirit Of Eden|1988|Parlophone|PCSD 105||LP, Album|Rock|Post Rock|The Rainbow;Eden|
Duran Duran|Rio|1982|EMI|EMC 3411||LP, Album|Pop|New Wave|Rio;Hungry Like The Wolf|
The Cure|Disintegration|1989|Fiction Records|FIXH 14||2xLP, Album|Rock|Goth Rock|Plainsong;Pictures Of You;Lovesong|
Depeche Mode|Violator|1990|Mute|STUMM 64|5016025610648|LP, Album|Electronic|Synth-pop|Personal Jesus;Enjoy The Silence|
Sonic Youth|Daydream Nation|1988|Blast First|BFFP 34||2xLP, Album|Rock|Alternative Rock|Teen Age Riot;Silver Rocket|
Queen|Jazz|1978|EMI|EMA 788||LP, Album|Rock|Hard Rock|Mustapha;Fat Bottomed Girls;Bicycle Race|poster
John Lydon|Metal Box (Demo Cassette)|1979|Not On Label|none||Cassette|Rock|Post-Punk|Albatross|
Godspeed You! Black Emperor|F♯ A♯ ∞|1997|Constellation|CST003||LP, Album|Rock|Post Rock|Nervous, Sad, Poor|
+/-|Self-Titled Long-Playing Debut Album|2002|Teenbeat|TEENBEAT 333||LP|Rock|Indie Rock|I've Been Lost;All I Do|
"Weird Al" Yankovic|Dare To Be Stupid|1985|Rock 'n Roll Records|FZ 40033||LP, Album|Pop|Parody|Dare To Be Stupid;Yoda|
""".strip().splitlines()

FIRST = """John Mary Frank Anna Otto Luis Clara Earl Ella Sonny Hank Lee Art Max Nina Bill Ruth Joe Eva Carl Ray Dinah Paul Ida Ben Rosa Hugo Lena Sam Vera Tom Olga
Peter Irma Jack Etta Karl Maria Dieter Heinz Uwe Sven Björn Jürgen André René José Zoë Håkan Søren Jörg Łukasz Marek Jan Piotr Günter Renée Chloé""".split()
WORDS = """love blue night time day heart man black world life new dream dark sun moon fire rain street city road river sea wind star sky light home girl boy baby soul
rock dance music song live red white green golden silver electric wild young old little big long lonely sweet bad good high low deep hot cold free lost last first one
two seven thousand kingdom garden house room door window machine radio television train car ship plane water stone iron steel glass paper gold diamond crystal velvet
ghost angel devil god king queen prince princess soldier sailor stranger lover mother father sister brother children people nation america paris london berlin tokyo
winter summer spring autumn monday sunday saturday midnight morning evening tomorrow yesterday forever never always again back down out over under into away around
walk run fly fall rise burn break shake turn sing play cry laugh kiss touch feel see hear know think say tell ask give take make hold stay leave come go
magic power mind body eyes hands voice silence noise thunder lightning storm snow ice ocean island mountain valley desert forest tree flower rose bird wolf dog cat horse
tiger lion snake spider butterfly eagle dragon monster zombie vampire witch doctor teacher preacher gambler outlaw rebel hero fool clown joker winner loser beggar
session sessions greatest hits best collection anthology concert studio suite symphony concerto sonata variations quartet quintet trio orchestra ensemble band group
blues jazz swing bop funk disco punk reggae dub techno house ambient waltz tango samba bossa nova rumba polka march hymn gospel spirituals ballads tales stories letters
pictures colours shadows mirrors circles lines spaces places ways days years hours minutes moments memories secrets lies truth faith hope grace mercy glory freedom
justice peace war battle victory paradise heaven hell earth space universe galaxy planet future past history mystery history system code signal wave pulse motion""".split()
SYL = "ba be bo bri ca cor da de dor el en fa fer ga gor ha hel ka ki kra la len lo ma mar mi mor na nel no or pa per pol ra ren ri ro sa sen ska so sta ta ten tor tu va vel vi wa wen wil za zu zen".split()
ENDS = "son er man ski berg stein ton ini elli ez ard ow ley ova sen dottir mann feld ucci ault ier ko".split()
LABELS = """Columbia|CL;Blue Note|BLP;Prestige|PRLP;Atlantic|SD;RCA Victor|LSP;Capitol Records|ST;Decca|SKL;EMI|EMC;Island Records|ILPS;Virgin|V;Warp Records|WARPLP;ECM Records|ECM;
Harvest|SHVL;Polydor|2383;Philips|6303;Motown|STML;Stax|STS;Impulse!|A;Verve Records|V6;Riverside|RLP;Elektra|K;A&M Records|SP;Mute|STUMM;Factory|FACT;4AD|CAD;Rough Trade|ROUGH;
Deutsche Grammophon|2530;Supraphon|SUA;Melodiya|C10;Trojan Records|TRLS;Studio One|SOL;Soul Jazz Records|SJR LP;Drag City|DC;Kranky|krank;Sub Pop|SP;Matador|OLE;Merge Records|MRG;
Ninja Tune|ZEN;Tresor|TRESOR;Kompakt|KOMPAKT;Brain|brain;Ohr|OMM;Sky Records|SKY;Not On Label|none""".replace("\n", "").split(";")
GENRES = {
    "Rock": [
        "Alternative Rock",
        "Prog Rock",
        "Punk",
        "Post-Punk",
        "Indie Rock",
        "Hard Rock",
        "Krautrock",
        "Folk Rock",
        "Garage Rock",
        "Shoegaze",
    ],
    "Electronic": ["Techno", "House", "Ambient", "Synth-pop", "IDM", "Drum n Bass", "Downtempo", "Electro"],
    "Jazz": ["Hard Bop", "Cool Jazz", "Free Jazz", "Fusion", "Swing", "Modal"],
    "Pop": ["Europop", "Ballad", "Vocal", "Chanson"],
    "Funk / Soul": ["Soul", "Disco", "Funk", "Afrobeat"],
    "Classical": ["Baroque", "Romantic", "Contemporary", "Opera"],
    "Reggae": ["Dub", "Roots Reggae", "Ska"],
    "Hip Hop": ["Boom Bap", "Instrumental"],
    "Folk, World, & Country": ["Folk", "Country", "Flamenco"],
    "Blues": ["Delta Blues", "Electric Blues"],
    "Stage & Screen": ["Soundtrack", "Musical"],
}
FORMATS = [
    ("LP, Album", 50),
    ("LP, Album, Reissue", 20),
    ('7", 45 RPM, Single', 15),
    ('12", 33 ⅓ RPM', 8),
    ("2xLP, Album, Gatefold", 8),
    ("CD, Album", 6),
    ("Cassette, Album", 3),
    ("LP, Compilation", 6),
    ('Shellac, 10", 78 RPM', 2),
    ("LP, Mono", 4),
    ("File, FLAC", 1),
    ('Flexi-disc, 7"', 1),
]
NOTES = """Bought at the fair in Ghent.|Sleeve has a split seam at the top.|Signed by the drummer.|Original inner sleeve, lyric sheet missing.|Scratch on side B, plays through.|Gift of my brother.|From the attic of the
old radio station, promo stamp on the label.|Matrix: A-1 B-2, RL in the dead wax.|Water damage at the corner, music is fine.|Pressing by Pallas, very quiet.|Second copy, to sell.""".replace(
    "\n", " "
).split("|")


COMMON = {"jazz", "krautrock", "shellac", "blue note", "love", "1959"}  # names that would be a right answer to another question


def collection(count: int, seed: int = 7) -> Iterator[ImportRow]:
    """Yield `count` records; those that exist stand at drawn places."""
    rnd = random.Random(seed)
    names = _Names(rnd, count)
    places = dict(zip(rnd.sample(range(count), len(REAL)), REAL, strict=True)) if count >= len(REAL) else {}
    for number in range(count):
        row = _real(places[number]) if number in places else names.record()
        yield ImportRow(
            **row,  # type: ignore[arg-type]
            line=number + 2,
            source="discogs",
            source_id=str(100000 + number * 37 % 30000000),
            instance_id=str(number + 1),
            added_at=1_600_000_000.0 + number,
        )


def _real(line: str) -> dict[str, object]:
    artist, title, year, label, catno, barcode, formats, genre, styles, tracks, notes = (part.strip() for part in line.split("|"))
    return _row(artist, title, int(year), label, catno, barcode, formats, genre, styles.split(", "), tracks.split(";"), notes)


def _row(  # noqa: PLR0917
    artist: str,
    title: str,
    year: int | None,
    label: str,
    catno: str,
    barcode: str,
    formats: str,
    genre: str,
    styles: list[str],
    tracks: list[str],
    notes: str,
) -> dict[str, object]:
    return {
        "artist": artist,
        "title": title,
        "year": year,
        "label": label,
        "catno": catno,
        "barcode": barcode,
        "formats": tuple(formats.split(", ")),
        "genres": (genre,),
        "styles": tuple(styles),
        "tracks": tuple(Track(f"{'AB'[at * 2 // len(tracks)]}{at + 1}", name, 200) for at, name in enumerate(tracks)),
        "notes": notes,
    }


class _Names:
    """Draws names. The order of the draws decides the collection, and with it what the search has to find: it must not change."""

    def __init__(self, rnd: random.Random, count: int) -> None:
        self.rnd = rnd
        self.surnames = [self._surname() for _ in range(max(400, count // 6))]
        self.coined = ["".join(rnd.choice(SYL) for _ in range(rnd.choice((2, 3, 3, 4)))) for _ in range(max(300, count // 5))]
        self.weights = [1 / (n + 4) for n in range(len(WORDS))]
        self.words = WORDS[:]
        rnd.shuffle(self.words)
        self.real_names = {line.split("|")[0].lower().removeprefix("the ") for line in REAL} | {"the", "beatles"}
        self.real_titles = {line.split("|")[1].lower().removeprefix("the ") for line in REAL}
        self.taken = self.real_names | self.real_titles | COMMON
        self.artists: list[str] = []
        while len(self.artists) < max(50, count // 3):
            made = self._name()
            if made.lower().removeprefix("the ") not in self.taken:
                self.artists.append(made)
        self.cumulated = list(itertools.accumulate(1 / (n + 20) for n in range(len(self.artists))))

    def record(self) -> dict[str, object]:
        rnd = self.rnd
        artist = "Various" if rnd.random() < 0.05 else rnd.choices(self.artists, cum_weights=self.cumulated)[0]
        title = self._phrase()
        while title.lower().removeprefix("the ") in self.taken:
            title = self._phrase()
        year = min(2025, max(1948, int(rnd.gauss(1980, 15)))) if rnd.random() < 0.95 else None
        label, prefix = rnd.choice(LABELS).split("|")
        catno = "none" if prefix == "none" else self._catno(prefix)
        barcode = self._barcode() if (year or 0) > 1982 and rnd.random() < 0.7 else ""
        formats = rnd.choices([f for f, _ in FORMATS], [w for _, w in FORMATS])[0]
        genre = rnd.choices(list(GENRES), [30, 18, 14, 8, 8, 6, 4, 4, 4, 2, 2])[0]
        styles = rnd.sample(GENRES[genre], min(len(GENRES[genre]), rnd.choice((0, 1, 1, 2))))
        has_tracks = rnd.random() < 0.8
        count = 0 if not has_tracks else 2 if formats.startswith('7"') else rnd.randint(6, 14)
        tracks = [self._phrase() for _ in range(count)]
        notes = rnd.choice(NOTES) if rnd.random() < 0.3 else ""
        return _row(artist, title, year, label, catno, barcode, formats, genre, styles, tracks, notes)

    def _catno(self, prefix: str) -> str:
        rnd = self.rnd
        return (
            prefix + rnd.choice((" ", " ", "-", "")) + str(rnd.randint(100, 99999)) + rnd.choice(("", "", "", "-1", " A", "/2"))
        )

    def _barcode(self) -> str:
        twelve = self.rnd.choice(("0", "5", "4", "8")) + "".join(self.rnd.choice("0123456789") for _ in range(11))
        return twelve + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(twelve)) % 10)

    def _surname(self) -> str:
        rnd = self.rnd
        return "".join(rnd.choice(SYL) for _ in range(rnd.choice((1, 2, 2, 3)))).capitalize() + rnd.choice(ENDS)

    def _word(self) -> str:
        rnd = self.rnd
        return rnd.choice(self.coined) if rnd.random() < 0.08 else rnd.choices(self.words, self.weights)[0]

    def _phrase(self) -> str:
        rnd = self.rnd
        words = [self._word() for _ in range(rnd.choice((1, 1, 2, 2, 2, 3, 3, 4)))]
        if rnd.random() < 0.25:
            words.insert(0, "the")
        if len(words) > 2 and rnd.random() < 0.4:
            words.insert(2, rnd.choice(("of the", "in the", "and", "for", "to", "in a", "&", "of")))
        text = " ".join(words).title()
        return text + f" {rnd.randint(1, 99)}" if rnd.random() < 0.03 else text

    def _name(self) -> str:
        rnd = self.rnd
        kind = rnd.random()
        person = f"{rnd.choice(FIRST)} {rnd.choice(self.surnames)}"
        if kind < 0.45:
            return person
        if kind < 0.55:
            endings = (
                *(" Trio", " Quartet", " & The " + self._word().title() + "s", " And His Orchestra"),
                *(f" & {rnd.choice(FIRST)} {rnd.choice(self.surnames)}", f" feat. {rnd.choice(self.surnames)}"),
            )
            return person + rnd.choice(endings)
        if kind < 0.75:
            return "The " + rnd.choice((self._word().title() + "s", f"{self._word()} {self._word()}s".title()))
        return " ".join(self._word() for _ in range(rnd.choice((1, 2, 2)))).title()
