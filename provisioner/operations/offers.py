"""Stock and prices of many instance types in one region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provisioner.errors import CloudError, CloudRefusedError, NoCapacityError
from provisioner.fan_out import fan_out
from provisioner.inventory.spec import CloudSpec, Spec, SpotSpec
from provisioner.resources import Price
from provisioner.steps.request import Candidate, instance_request


def offers(region: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each type: zones in stock, and where it has any its price an hour as pay-as-you-go and as spot.

    A price that the service refuses to tell is None: the type is not sold that way there. Raises what it says when it
    tells none at all, as without the permission to ask.
    """
    from provisioner.operations import places

    cloud = places.of_region(region, lambda text: None)
    stock = cloud.stock(names)

    def price(name: str, spot: SpotSpec | None) -> Price | CloudError:
        spec = Spec(name="types", provider="alibaba", cloud=CloudSpec(region=region, spot=spot))
        try:
            return cloud.price(instance_request(spec, ["types"], Candidate(name, stock[name][0]), image_id=""))
        except (NoCapacityError, CloudRefusedError) as error:
            return error

    in_stock = [name for name in names if stock.get(name)]
    regular = dict(zip(in_stock, fan_out(lambda name: price(name, None), in_stock, at_once=8), strict=True))
    spot = dict(zip(in_stock, fan_out(lambda name: price(name, SpotSpec()), in_stock, at_once=8), strict=True))
    answers = [*regular.values(), *spot.values()]
    refusals = [answer for answer in answers if isinstance(answer, CloudError)]
    if refusals and len(refusals) == len(answers):
        raise next((error for error in refusals if isinstance(error, CloudRefusedError)), refusals[0])

    def told(answer: Price | CloudError | None, field: str, default: Any) -> Any:
        return getattr(answer, field) if isinstance(answer, Price) else default

    return {
        name: {
            "zones": stock.get(name, []),
            "pay_as_you_go": told(regular.get(name), "per_hour", None),
            "spot": told(spot.get(name), "per_hour", None),
            "currency": told(regular.get(name), "currency", "") or told(spot.get(name), "currency", ""),
        }
        for name in names
    }
