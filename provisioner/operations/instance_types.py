"""Instance types that can do bfloat16, with stock and prices in one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from provisioner import catalog
from provisioner.errors import CloudError, CloudRefusedError, NoCapacityError
from provisioner.fan_out import fan_out
from provisioner.inventory.spec import CloudSpec, Spec, SpotSpec
from provisioner.operations import places
from provisioner.ports import Cloud
from provisioner.resources import Price
from provisioner.steps.request import Candidate, instance_request

AT_ONCE = 8
"""How many prices are asked for side by side: the service throttles more."""


@dataclass(frozen=True)
class Offer:
    """One type in one region.

    Attributes:
        zones: those that have it in stock.
        pay_as_you_go: its price an hour, in `currency`; None when it is not sold that way, or not in stock.
        spot: its present price an hour as a spot instance; None alike.
        currency: of both; "" without a price.
    """

    zones: tuple[str, ...] = ()
    pay_as_you_go: float | None = None
    spot: float | None = None
    currency: str = ""

    def as_json(self) -> dict[str, Any]:
        """It as `types --region REGION --json` shows it."""
        return {**asdict(self), "zones": list(self.zones)}


def offers(region: str, instance_types: Sequence[str] | None = None) -> dict[str, Offer]:
    """What a region has of these types, or of all in the catalog that can do bfloat16.

    Raises what the service says when it tells no price at all, as without the permission to ask.
    """
    names = [each.name for each in catalog.bf16_types()] if instance_types is None else instance_types
    cloud = places.of_region(region, lambda text: None)
    stock = cloud.stock(names)
    in_stock = [name for name in names if stock.get(name)]

    def prices(spot: SpotSpec | None) -> dict[str, Price | CloudError]:
        spec = Spec(name="types", provider="alibaba", cloud=CloudSpec(region=region, spot=spot))
        answers = fan_out(lambda name: _price(cloud, spec, Candidate(name, stock[name][0])), in_stock, at_once=AT_ONCE)
        return dict(zip(in_stock, answers, strict=True))

    regular, spot = prices(None), prices(SpotSpec())
    answers = [*regular.values(), *spot.values()]
    refusals = [answer for answer in answers if isinstance(answer, CloudError)]
    if refusals and len(refusals) == len(answers):
        raise next((error for error in refusals if isinstance(error, CloudRefusedError)), refusals[0])
    return {name: _offer(stock.get(name, ()), regular.get(name), spot.get(name)) for name in names}


def _price(cloud: Cloud, spec: Spec, candidate: Candidate) -> Price | CloudError:
    try:
        return cloud.price(instance_request(spec, ["types"], candidate, image_id=""))
    except (NoCapacityError, CloudRefusedError) as error:
        return error


def _offer(zones: Sequence[str], regular: Price | CloudError | None, spot: Price | CloudError | None) -> Offer:
    prices = [price if isinstance(price, Price) else None for price in (regular, spot)]
    currency = next((price.currency for price in prices if price), "")
    pay_as_you_go, as_spot = (price.per_hour if price else None for price in prices)
    return Offer(tuple(zones), pay_as_you_go, as_spot, currency)
