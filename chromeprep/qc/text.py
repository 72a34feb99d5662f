"""What does the page say beside its figures, and how is it set?"""

from __future__ import annotations

READING = {
    "profiles": "Mean signal in each bin over genes labelled high and low (all genes where there "
    "are no labels); the band is the 95 % confidence interval of the mean. Usual: H3K4me3, H3K27ac "
    "and H3K9ac peak at the TSS, higher in high genes; H3K4me1 has two shoulders; H3K36me3 rises "
    "behind the TSS; H3K27me3 is broad and higher in low genes. A warning sign: flat lines, both "
    "groups alike, or an H3K36me3 as high upstream as downstream (strands ignored?).",
    "heatmap": "Genes sorted by {by}, the highest on top, and averaged in {rows} rows of equally "
    "many; the first panel shows what they are sorted by. Each mark has its own colour scale, "
    "which ends at percentile {percentile} of its panel; grey has no value. Usual: a smooth "
    "change from top to bottom. A warning sign: single dark rows (a few genes with towers of "
    "signal), vertical stripes away from the TSS, or no change at all.",
    "marks": "<b>Empty</b> bins are 0; empty genes have no signal in any bin: a few per cent with "
    "counted reads, up to half in tracks of called peaks. <b>TSS enrichment</b> is the mean within "
    "{near} bp of the TSS over that beyond {far} bp. <b>AUC</b> and <b>ρ</b> (Spearman) say how "
    "the mean signal within {reach} bp of the TSS follows the label and the expression: 0.5 and 0 "
    "say nothing; below that, the mark stands at silent genes. A warning sign: a standard "
    "deviation above the p99, where a few towers of signal outweigh all else, or a mark without "
    "signal in most genes.",
    "correlation": "Spearman correlation over genes of the mean signal within {reach} bp of the "
    "TSS. Usual: marks of active promoters (H3K4me3, H3K4me2, H3K27ac, H3K9ac) are alike, 0.6 to "
    "0.98; H3K27me3 is negative to them, less so in stem cells, where both meet at poised "
    "promoters. A warning sign: two marks above 0.99, perhaps one file twice.",
    "bins": "Spearman correlation of each bin with expression along the window; the other marks "
    "in grey. Usual: promoter marks are highest just behind the TSS, H3K36me3 in the body of the "
    "gene, H3K27me3 below 0 throughout. A warning sign: a line along 0 for a mark of active genes.",
    "expression": "Genes at or above the threshold, the median when the file was binned, are "
    "labelled high. Usual: a heap of silent genes near 0 and a broad one of expressed genes; about "
    "half are high, other shares after a choice of genes or regions. A threshold of 0 is a warning "
    "sign: more than half of the genes are silent, and no gene is low.",
    "genes": "How many genes were left after each step. Usual in human: few are unknown to the "
    "expression table, some 11 % fall to the 5 kb neighbour filter. A warning sign: most genes "
    "unknown to the table (other ids), or lost to chromosomes that a track lacks.",
    "made": "Command lines, versions and inputs as the file holds them. A fingerprint is size, "
    "time and a digest of both ends of a file: equal digests, equal files.",
}

STYLE = """
:root{--ink:#222;--soft:#666;--line:#ddd}
body{font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;color:var(--ink);
 max-width:1000px;margin:0 auto;padding:1.5rem}
h1{font-size:1.6rem;margin:0 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .4rem}
section{margin:2.2rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.reading{color:#444;max-width:75ch;margin:.2rem 0 .8rem}
.none{color:var(--soft);font-style:italic}
.box{border-left:5px solid;padding:.8rem 1.1rem;margin:1.4rem 0}
.good{border-color:#009E73;background:#f1f9f6}
.bad{border-color:#D55E00;background:#fdf4ee}
.box ul{margin:.3rem 0 .6rem;padding-left:1.2rem}
.box li b{text-transform:uppercase;font-size:.75em;letter-spacing:.04em}
li.warning b{color:#B04A00}
li.note b{color:#005F96}
summary{cursor:pointer;color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.9rem}
nav a{color:#0072B2}
img{max-width:100%;height:auto;display:block}
.wide{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.85rem}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);
 vertical-align:top}
th{font-weight:600;border-bottom-color:#999}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,.code td{font:.9em ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:.85rem;border-top:1px solid var(--line);padding-top:.6rem}
@media print{nav,summary{display:none}section{break-inside:avoid}}
"""
