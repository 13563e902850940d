"""What it costs: prices, owning against renting, demand over the day, cost of a token, of a user, of a route.

Functions of numbers [USD, h, tokens/s] and of the tables ``prices.csv``, ``purchases.csv``, ``demand.csv`` and
``running_costs.csv``; nothing here knows a model or an engine.
"""

from workbench.cost.break_even import BuyOrRent, buy_or_rent
from workbench.cost.days import Demand, demand, demands, growth
from workbench.cost.load import Schedule, schedule
from workbench.cost.ownership import Month, Ownership, owned
from workbench.cost.per_unit import HOURS_PER_MONTH, month_usd, usd_per_million, usd_per_user
from workbench.cost.prices import KINDS, Price, price, priced, prices
from workbench.cost.purchases import Purchase, capital, purchases
from workbench.cost.routing import Route, route_month, routed

__all__ = [
    "HOURS_PER_MONTH",
    "KINDS",
    "BuyOrRent",
    "Demand",
    "Month",
    "Ownership",
    "Price",
    "Purchase",
    "Route",
    "Schedule",
    "buy_or_rent",
    "capital",
    "demand",
    "demands",
    "growth",
    "month_usd",
    "owned",
    "price",
    "priced",
    "prices",
    "purchases",
    "route_month",
    "routed",
    "schedule",
    "usd_per_million",
    "usd_per_user",
]
