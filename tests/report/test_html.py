"""Tables as HTML: names from files can hold markup, and must stay text."""

from vggfeat.report.render import render
from vggfeat.report.table import Cell, Table


def test_a_name_with_markup_stays_text():
    table = Table.of(
        ["<b>net</b>", "mAP (%)"],
        [["<script>alert(1)</script>", Cell(values=(50.0,), notes=(1,))]],
        notes=("a & b",),
        title="<i>VOC</i>",
    )
    html = render(table, "html")
    assert "<script>" not in html and "<b>" not in html and "<i>" not in html
    assert '<th scope="row">&lt;script&gt;alert(1)&lt;/script&gt;</th>' in html
    assert '<td style="text-align: right">50.0 [1]</td>' in html
    assert "<p>[1] a &amp; b</p>" in html


def test_the_best_of_a_column_stands_out():
    table = Table.of(["net", "mAP (%)"], [["a", Cell(values=(50.0,), is_best=True)]])
    assert "<strong>50.0</strong>" in render(table, "html")
