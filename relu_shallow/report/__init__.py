"""The page that a reviewer is given: one self-contained HTML file."""

from relu_shallow.report.answers import Wishes
from relu_shallow.report.page import write_page

__all__ = ["Wishes", "write_page"]
