"""The function against the contract of the stages. Run it with pytest, from this folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "function"))

from enrich import handler

ORDER = {
    "data_source": "SHOP",
    "processing_type": "order",
    "order_id": "A-1001",
    "sku": "SKU-1",
    "quantity": 3,
    "unit_price": 12.5,
}
STANDARD = {"data_source": "SHOP", "processing_type": "standard", "amount": 5}


def test_it_honours_the_contract(stage_contract: Any) -> None:
    """Every rule, with orders that it knows and does not know, and with what is no order."""
    stage_contract(handler, [ORDER, ORDER | {"sku": "SKU-9"}, STANDARD]).check()
