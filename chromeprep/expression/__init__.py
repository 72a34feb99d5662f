"""What does an expression table say of a gene, and what is its label?"""

from chromeprep.expression.labels import Labels, join_expression, join_genes, median_labels
from chromeprep.expression.read import ExpressionColumn, Ids, read_expression
from chromeprep.expression.table import ExpressionTable

__all__ = [
    "ExpressionColumn",
    "ExpressionTable",
    "Ids",
    "Labels",
    "join_expression",
    "join_genes",
    "median_labels",
    "read_expression",
]
