"""Words of classes that are named by WordNet ids, from the lists beside the pictures."""

from vggfeat.layouts.class_words import class_words

TENCH, GOLDFISH, UNKNOWN = "n01440764", "n01443537", "n99999999"


def test_tiny_imagenets_list_is_beside_the_pictures(tmp_path):
    (tmp_path / "words.txt").write_text(
        f"{GOLDFISH}\tgoldfish, Carassius auratus\nn1\tother\nno tab\n{UNKNOWN}\t<b>new</b>\n"
    )
    assert class_words([UNKNOWN, GOLDFISH, "my class"], tmp_path) == [
        "<b>new</b>", "goldfish, Carassius auratus", "my class",
    ]  # fmt: skip


def test_kaggles_list_is_up_to_three_folders_above(tmp_path):
    root = tmp_path / "ILSVRC/Data/CLS-LOC"
    root.mkdir(parents=True)
    (tmp_path / "LOC_synset_mapping.txt").write_text(f"{TENCH} tench, Tinca tinca\n")
    assert class_words([TENCH], root) == ["tench, Tinca tinca"]


def test_classes_of_ilsvrc_have_words_without_a_list(tmp_path):
    assert class_words([GOLDFISH, UNKNOWN], tmp_path) == ["goldfish", UNKNOWN]
    assert class_words([TENCH]) == ["tench"]


def test_classes_that_are_named_in_words_keep_them(tmp_path):
    assert class_words(["ant", "bee"], tmp_path) == ["ant", "bee"]
