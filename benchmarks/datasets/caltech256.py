"""Caltech-256 by the paper's protocol (appendix B).

3 random splits of 60 training pictures a class, all others to test; C chosen on 20 % of the
training pictures, scales stacked, mean class recall. The clutter counts as a class: 257.
"""

from vggfeat.benchmarks.datasets.definition import IN_PAPER, DatasetDefinition, KnownCounts
from vggfeat.benchmarks.protocols.class_folder_protocol import (
    ClassFolderProtocol,
    class_folder_benchmark,
)
from vggfeat.benchmarks.sources.distribution import Distribution
from vggfeat.storage.sources import Source

PICTURES = {
    "001.ak47": 98, "002.american-flag": 97, "003.backpack": 151, "004.baseball-bat": 127,
    "005.baseball-glove": 148, "006.basketball-hoop": 90, "007.bat": 106, "008.bathtub": 232,
    "009.bear": 102, "010.beer-mug": 94, "011.billiards": 278, "012.binoculars": 216,
    "013.birdbath": 98, "014.blimp": 86, "015.bonsai-101": 122, "016.boom-box": 91,
    "017.bowling-ball": 104, "018.bowling-pin": 101, "019.boxing-glove": 124, "020.brain-101": 83,
    "021.breadmaker": 142, "022.buddha-101": 97, "023.bulldozer": 110, "024.butterfly": 112,
    "025.cactus": 114, "026.cake": 106, "027.calculator": 100, "028.camel": 110, "029.cannon": 103,
    "030.canoe": 104, "031.car-tire": 90, "032.cartman": 101, "033.cd": 102, "034.centipede": 100,
    "035.cereal-box": 87, "036.chandelier-101": 106, "037.chess-board": 120, "038.chimp": 110,
    "039.chopsticks": 85, "040.cockroach": 124, "041.coffee-mug": 87, "042.coffin": 87,
    "043.coin": 124, "044.comet": 121, "045.computer-keyboard": 85, "046.computer-monitor": 133,
    "047.computer-mouse": 94, "048.conch": 103, "049.cormorant": 106, "050.covered-wagon": 97,
    "051.cowboy-hat": 114, "052.crab-101": 85, "053.desk-globe": 82, "054.diamond-ring": 118,
    "055.dice": 98, "056.dog": 102, "057.dolphin-101": 106, "058.doorknob": 93,
    "059.drinking-straw": 83, "060.duck": 87, "061.dumb-bell": 102, "062.eiffel-tower": 83,
    "063.electric-guitar-101": 122, "064.elephant-101": 131, "065.elk": 101, "066.ewer-101": 83,
    "067.eyeglasses": 83, "068.fern": 110, "069.fighter-jet": 99, "070.fire-extinguisher": 84,
    "071.fire-hydrant": 99, "072.fire-truck": 118, "073.fireworks": 100, "074.flashlight": 115,
    "075.floppy-disk": 83, "076.football-helmet": 84, "077.french-horn": 92, "078.fried-egg": 90,
    "079.frisbee": 99, "080.frog": 116, "081.frying-pan": 95, "082.galaxy": 81, "083.gas-pump": 95,
    "084.giraffe": 84, "085.goat": 112, "086.golden-gate-bridge": 80, "087.goldfish": 93,
    "088.golf-ball": 98, "089.goose": 110, "090.gorilla": 212, "091.grand-piano-101": 95,
    "092.grapes": 201, "093.grasshopper": 112, "094.guitar-pick": 104, "095.hamburger": 86,
    "096.hammock": 285, "097.harmonica": 89, "098.harp": 100, "099.harpsichord": 80,
    "100.hawksbill-101": 93, "101.head-phones": 138, "102.helicopter-101": 88, "103.hibiscus": 111,
    "104.homer-simpson": 97, "105.horse": 270, "106.horseshoe-crab": 87, "107.hot-air-balloon": 89,
    "108.hot-dog": 85, "109.hot-tub": 156, "110.hourglass": 85, "111.house-fly": 84,
    "112.human-skeleton": 84, "113.hummingbird": 116, "114.ibis-101": 120,
    "115.ice-cream-cone": 88, "116.iguana": 107, "117.ipod": 121, "118.iris": 108,
    "119.jesus-christ": 87, "120.joy-stick": 130, "121.kangaroo-101": 82, "122.kayak": 103,
    "123.ketch-101": 111, "124.killer-whale": 91, "125.knife": 101, "126.ladder": 242,
    "127.laptop-101": 128, "128.lathe": 105, "129.leopards-101": 190, "130.license-plate": 91,
    "131.lightbulb": 92, "132.light-house": 190, "133.lightning": 136, "134.llama-101": 119,
    "135.mailbox": 93, "136.mandolin": 93, "137.mars": 156, "138.mattress": 192,
    "139.megaphone": 86, "140.menorah-101": 89, "141.microscope": 117, "142.microwave": 107,
    "143.minaret": 130, "144.minotaur": 82, "145.motorbikes-101": 798, "146.mountain-bike": 82,
    "147.mushroom": 202, "148.mussels": 174, "149.necktie": 103, "150.octopus": 111,
    "151.ostrich": 109, "152.owl": 120, "153.palm-pilot": 93, "154.palm-tree": 103,
    "155.paperclip": 92, "156.paper-shredder": 96, "157.pci-card": 105, "158.penguin": 149,
    "159.people": 209, "160.pez-dispenser": 83, "161.photocopier": 103, "162.picnic-table": 91,
    "163.playing-card": 90, "164.porcupine": 101, "165.pram": 88, "166.praying-mantis": 92,
    "167.pyramid": 86, "168.raccoon": 140, "169.radio-telescope": 92, "170.rainbow": 102,
    "171.refrigerator": 84, "172.revolver-101": 99, "173.rifle": 106, "174.rotary-phone": 84,
    "175.roulette-wheel": 83, "176.saddle": 110, "177.saturn": 96, "178.school-bus": 98,
    "179.scorpion-101": 80, "180.screwdriver": 102, "181.segway": 100,
    "182.self-propelled-lawn-mower": 120, "183.sextant": 100, "184.sheet-music": 84,
    "185.skateboard": 103, "186.skunk": 81, "187.skyscraper": 95, "188.smokestack": 88,
    "189.snail": 119, "190.snake": 112, "191.sneaker": 111, "192.snowmobile": 112,
    "193.soccer-ball": 174, "194.socks": 112, "195.soda-can": 87, "196.spaghetti": 104,
    "197.speed-boat": 100, "198.spider": 108, "199.spoon": 105, "200.stained-glass": 100,
    "201.starfish-101": 81, "202.steering-wheel": 97, "203.stirrups": 91, "204.sunflower-101": 80,
    "205.superman": 87, "206.sushi": 98, "207.swan": 115, "208.swiss-army-knife": 109,
    "209.sword": 102, "210.syringe": 111, "211.tambourine": 95, "212.teapot": 136,
    "213.teddy-bear": 101, "214.teepee": 139, "215.telephone-box": 84, "216.tennis-ball": 98,
    "217.tennis-court": 105, "218.tennis-racket": 81, "219.theodolite": 84, "220.toaster": 94,
    "221.tomato": 103, "222.tombstone": 91, "223.top-hat": 80, "224.touring-bike": 110,
    "225.tower-pisa": 90, "226.traffic-light": 99, "227.treadmill": 147, "228.triceratops": 95,
    "229.tricycle": 95, "230.trilobite-101": 94, "231.tripod": 112, "232.t-shirt": 358,
    "233.tuning-fork": 100, "234.tweezer": 122, "235.umbrella-101": 114, "236.unicorn": 97,
    "237.vcr": 90, "238.video-projector": 97, "239.washing-machine": 84, "240.watch-101": 201,
    "241.waterfall": 95, "242.watermelon": 93, "243.welding-mask": 90, "244.wheelbarrow": 91,
    "245.windmill": 91, "246.wine-bottle": 101, "247.xylophone": 92, "248.yarmulke": 84,
    "249.yo-yo": 100, "250.zebra": 96, "251.airplanes-101": 800, "252.car-side-101": 116,
    "253.faces-easy-101": 435, "254.greyhound": 95, "255.tennis-shoes": 103, "256.toad": 108,
    "257.clutter": 827,
}  # fmt: skip

CALTECH256 = DatasetDefinition(
    name="caltech256",
    title="Caltech-256",
    about="257 classes with the clutter",
    num_pictures=30607,
    source=Distribution(
        name="caltech256",
        folder="256_ObjectCategories",
        archives=(
            tuple(
                Source(
                    f"{address}/256_ObjectCategories.tar",
                    "sha256",
                    "08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
                    1_183_006_720,
                )
                for address in (
                    "https://data.caltech.edu/records/nyy15-4j048/files",
                    "http://www.vision.caltech.edu/Image_Datasets/Caltech256",
                )
            ),
        ),
    ),
    build=class_folder_benchmark,
    protocol=ClassFolderProtocol(train_per_class=60, test_per_class=None, background="257.clutter"),
    scales=(256, 384, 512),
    aggregate="stack",
    known_counts=(
        KnownCounts(set="all", total=30607, classes=PICTURES, source="the unpacked archive"),
    ),
    in_paper=True,
    group=IN_PAPER,
    licence="CC BY 4.0",  # as CaltechDATA's record states
)
