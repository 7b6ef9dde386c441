"""The texts of faults: what an operator reads after a typical mistake, one mistake at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import BadEstate
from trunkline.estate.load import load

ESTATE = """\
estate: acme
currency: EUR
exchange_rates: {USD: {EUR: 0.87, from: 2026-11-01}}
time_zone: Europe/Berlin
units:
  acme: {cost_centre: CC-1}
  sales: {parent: acme, cost_centre: CC-2}
data_classes:
  public: {}
  internal: {requires: {training_use: {is: never}}}
boundaries:
  cloud: {provider: openai, owner: acme, credentials: "env:OPENAI_API_KEY"}
  house: {provider: self-managed, owner: acme}
deployments:
  gpt:
    model: openai/gpt-4.1-mini
    pattern: saas
    boundary: cloud
    price: {input_mtok: 0.40, output_mtok: 1.60, currency: USD}
    controls:
      training_use: {value: never, basis: contract, verified_at: 2026-10-02, expires: 2027-10-02}
  smol: {model: huggingface/smollm2, pattern: self_managed, boundary: house, engine: {weights: builtin}}
pools:
  main: {owner: acme, tiers: [[gpt], [smol]]}
use_cases:
  chat: {owner: acme, audience: [acme], data_class: internal, pools: [main], direct: [openai/gpt-4.1-mini]}
budgets:
  - {on: {unit: acme}, per: month, amount: 1000, hard: true, warn_at: [0.5]}
limits:
  - {on: {unit: sales}, rpm: 60}
"""

MISTAKES = [
    pytest.param(
        "data_classes:\n",
        "zones: {dach: {contains: [de, at, cch]}}\ndata_classes:\n",
        ['8:35: zone "cch" is not known; did you mean "ch"?'],
        id="a zone that nobody knows",
    ),
    pytest.param(
        "data_classes:\n",
        "zones: {dach: {within: euu}}\ndata_classes:\n",
        ['8:24: zone "euu" is not known; did you mean "eu"?'],
        id="a zone within what nobody knows",
    ),
    pytest.param(
        "data_classes:\n",
        "zones: {dach: {within: eu, contains: [de, ch]}}\ndata_classes:\n",
        ['8:43: "ch" does not lie in eu; take it out, or write another `within`'],
        id="a zone with a part outside",
    ),
    pytest.param(
        "data_classes:\n",
        "zones: {eu: {contains: [de]}}\ndata_classes:\n",
        ['8:9: "eu" is a zone that everybody knows; give yours another name'],
        id="a zone of the catalogue's name",
    ),
    pytest.param(
        "data_classes:\n",
        "zones: {dach: {}}\ndata_classes:\n",
        ['8:9: zone "dach" says neither what it lies `within` nor what it `contains`; write one of them'],
        id="a zone that says nothing",
    ),
    pytest.param(
        "data_classes:\n",
        "zones: {a: {within: b}, b: {contains: [a, de]}}\ndata_classes:\n",
        ["8:9: zones go in a circle: a > b > a"],
        id="zones in a circle",
    ),
    pytest.param(
        "data_class: internal",
        "data_class: internl",
        ['26:53: data class "internl" is not declared; did you mean "internal"?'],
        id="an unknown data class",
    ),
    pytest.param(
        "    boundary: cloud\n",
        "    boundry: cloud\n",
        ['18:5: "boundry" is not a field of a deployment; did you mean "boundary"?'],
        id="a misspelt field",
    ),
    pytest.param(
        "pools:\n",
        "pool:\n",
        ['23:1: "pool" is not a field of an estate; did you mean "pools"?'],
        id="a misspelt section",
    ),
    pytest.param(
        "pattern: saas",
        "pattern: cloud-shared",
        ['17:14: pattern "cloud-shared" is not known; did you mean "cloud_shared"?'],
        id="a misspelt pattern",
    ),
    pytest.param(
        "basis: contract",
        "basis: contractual",
        ['21:43: basis "contractual" is not known; did you mean "contract"?'],
        id="an unknown basis",
    ),
    pytest.param(
        "input_mtok: 0.40",
        'input_mtok: "0.40"',
        ["19:25: input_mtok wants a number; write 0.40, without quotes"],
        id="a price in quotes",
    ),
    pytest.param(
        "cost_centre: CC-2",
        "cost_centre: 1200",
        ["7:38: cost_centre wants text; this is a whole number: put it in quotes"],
        id="a number where text is wanted",
    ),
    pytest.param("hard: true", "hard: yes", ["28:56: hard wants true or false; write true"], id="yes for true"),
    pytest.param(
        "amount: 1000",
        "amount: 20,000",
        ['28:47: "000" is not a field of a budget; write numbers without separators'],
        id="a comma in a number of a flow mapping",
    ),
    pytest.param(
        "amount: 1000",
        "amount: 20_000",
        ["28:44: amount wants a number; write 20000, without separators"],
        id="an underscore in a number",
    ),
    pytest.param(
        "warn_at: [0.5]",
        "warn_at: [50]",
        ["28:72: warn_at is 50; it must be 1 or less; write 0.5 for 50 %"],
        id="a percentage as a whole number",
    ),
    pytest.param(
        "warn_at: [0.5]",
        "warn_at: [50%]",
        ["28:72: warn_at wants a number; write 0.5 for 50%"],
        id="a percentage with its sign",
    ),
    pytest.param("amount: 1000", "amount: 0", ["28:44: amount is 0; it must be more than 0"], id="a budget of nothing"),
    pytest.param(
        "per: month",
        "per: monthly",
        ['28:29: per "monthly" is not known; did you mean "month"?'],
        id="an unknown period",
    ),
    pytest.param(
        "expires: 2027-10-02",
        "expires: 2027-13-02",
        ['21:87: expires "2027-13-02" is no date: month must be in 1..12'],
        id="a month that does not exist",
    ),
    pytest.param(
        "expires: 2027-10-02",
        "expires: next year",
        ["21:87: expires wants a date such as 2027-04-02, or a time such as 2027-04-02T18:00:00+02:00"],
        id="words for a date",
    ),
    pytest.param(
        "expires: 2027-10-02",
        "expires: 2027-10-02T10:00:00",
        ["21:87: expires has a time without a zone; end it with Z or an offset such as +02:00"],
        id="a time without a zone",
    ),
    pytest.param(
        "expires: 2027-10-02",
        "expires: 2025-10-02",
        ["21:87: the claim expires before it was verified"],
        id="a claim that expires before it was verified",
    ),
    pytest.param(
        "audience: [acme]",
        "audience: acme",
        ["26:33: audience wants a list; write [acme]"],
        id="one value where a list is wanted",
    ),
    pytest.param(
        "audience: [acme]",
        "audience: [saless, nobody]",
        [
            '26:34: unit "saless" is not declared; did you mean "sales"?',
            '26:42: unit "nobody" is not declared; known: acme, sales',
        ],
        id="unknown units in an audience",
    ),
    pytest.param(
        "pools: [main]",
        "pools: [mian]",
        ['26:71: pool "mian" is not declared; did you mean "main"?'],
        id="an unknown pool",
    ),
    pytest.param(
        "[[gpt], [smol]]",
        "[[gtp], [smol]]",
        ['24:32: deployment "gtp" is not declared; did you mean "gpt"?'],
        id="an unknown deployment",
    ),
    pytest.param(
        "[[gpt], [smol]]",
        "[[gpt], [smol, gpt]]",
        ['24:45: deployment "gpt" is in this pool already'],
        id="a deployment twice in a pool",
    ),
    pytest.param(
        "boundary: cloud\n",
        "boundary: clod\n",
        ['18:15: boundary "clod" is not declared; did you mean "cloud"?'],
        id="an unknown boundary",
    ),
    pytest.param(
        "direct: [openai/gpt-4.1-mini]",
        "direct: [openai/gpt-4.1-mni]",
        ['26:87: model "openai/gpt-4.1-mni" is in none of these pools; did you mean "openai/gpt-4.1-mini"?'],
        id="an unknown direct model",
    ),
    pytest.param(
        "requires: {training_use",
        "requires: {trainig_use",
        ['10:25: "trainig_use" is not a control; did you mean "training_use"?'],
        id="an unknown control",
    ),
    pytest.param(
        "value: never",
        "value: nevr",
        ['21:29: training_use "nevr" is not known; did you mean "never"?'],
        id="an unknown value of a control",
    ),
    pytest.param(
        "{is: never}",
        "{is: never, within: [never]}",
        ["10:39: a requirement has exactly one of is, within, includes, at_most, at_least; this has is and within"],
        id="two operators in a requirement",
    ),
    pytest.param(
        "{is: never}",
        "{basis: contract}",
        ["10:39: a requirement has exactly one of is, within, includes, at_most, at_least; this has none"],
        id="no operator in a requirement",
    ),
    pytest.param(
        "{is: never}",
        "{at_most: 3}",
        ["10:49: training_use is no number of days; write `is` or `within`"],
        id="a bound on a control without numbers",
    ),
    pytest.param(
        "{is: never}",
        "{includes: [never]}",
        ["10:50: training_use does not get stricter by including more; write is or within"],
        id="an operator that has no meaning for the control",
    ),
    pytest.param(
        "{training_use: {is: never}}",
        "{certifications: {within: [soc2]}}",
        ["10:50: certifications has no words to be within; write includes"],
        id="certifications within a list",
    ),
    pytest.param(
        "{training_use: {is: never}}",
        "{residency_processing: {within: [eu, swedencentrl]}}",
        ['10:61: residency_processing "swedencentrl" is not known; did you mean "swedencentral"?'],
        id="an unknown zone",
    ),
    pytest.param(
        "{training_use: {is: never}}",
        "{residency_processing: {within: []}}",
        [
            (
                "10:47: no value of residency_processing meets this, so no deployment could ever be allowed; "
                "loosen one of them"
            )
        ],
        id="a requirement that nothing meets",
    ),
    pytest.param(
        "public: {}",
        "public: {requires: {app_state_retention_days: {at_least: 30}}}\n"
        "  secret: {requires: {app_state_retention_days: {at_most: 29}}}",
        [
            (
                "10:49: no value of app_state_retention_days meets what data class public requires and this, so no "
                "deployment could ever be allowed; loosen one of them"
            )
        ],
        id="two classes that nothing meets together",
    ),
    pytest.param(
        "basis: contract",
        "basis: attested_per_response",
        [
            (
                "21:43: what is attested per response says what to expect; write `attestation: "
                "{header: x-zero-data-retention, expect: 'true'}`"
            )
        ],
        id="an attested claim that does not say what to expect",
    ),
    pytest.param(
        "basis: contract",
        "basis: contract, attestation: {header: x, expect: y}",
        [
            "21:66: an attestation stands with `basis: attested_per_response`; write that basis, or take it out",
        ],
        id="an attestation of a claim that is not attested",
    ),
    pytest.param(
        "basis: contract",
        "basis: attested_per_response, attestation: {header: x, body: y, expect: z}",
        ["21:79: an attestation stands in a header or at a path of the body: write one of the two"],
        id="an attestation in two places",
    ),
    pytest.param(
        "basis: contract",
        "basis: contract, applies_to: {endpoints: [chats], features: [file]}",
        [
            '21:78: "chats" is not an operation; did you mean "chat"?',
            '21:97: "file" is not a feature; did you mean "files"?',
        ],
        id="a claim that applies to what there is not",
    ),
    pytest.param(
        "data_class: internal, pools",
        "data_class: internal, successor: chat, pools",
        ["26:74: a use case cannot be its own successor"],
        id="a use case that succeeds itself",
    ),
    pytest.param(
        "data_class: internal, pools",
        "data_class: internal, retires: 2027-01-01, pools",
        ["26:72: only a deprecated use case has a day on which it retires; this one is active"],
        id="a day of retirement for an active use case",
    ),
    pytest.param(
        "data_class: internal, pools",
        "data_class: internal, deprecated_at: 2027-01-01, pools",
        ["26:78: only a deprecated use case has a day since when it is so; this one is active"],
        id="a day of deprecation for an active use case",
    ),
    pytest.param(
        "data_class: internal, pools",
        "data_class: internal, state: deprecated, deprecated_at: 2027-01-02, retires: 2027-01-01, pools",
        ["26:118: the use case retires before it is deprecated"],
        id="a retirement before the deprecation",
    ),
    pytest.param(
        '"env:OPENAI_API_KEY"',
        '"env:MY-KEY"',
        ["12:55: credentials wants a variable's name after `env:`, such as env:OPENAI_API_KEY"],
        id="a variable that no shell can set",
    ),
    pytest.param(
        "currency: USD",
        "currency: CHF",
        ["19:60: CHF has no exchange rate; add `CHF: {EUR: ...}` to exchange_rates"],
        id="a price in a currency without a rate",
    ),
    pytest.param(
        "currency: EUR\n",
        "currency: euro\n",
        ['2:11: currency "euro" does not fit: a currency is three capital letters, such as EUR'],
        id="a currency in words",
    ),
    pytest.param(
        "{EUR: 0.87, from: 2026-11-01}",
        "0.87",
        [
            "3:23: an exchange rate is written as {EUR: 0.87, from: 2026-11-01}; this is a number",
            "19:60: USD has no exchange rate; add `USD: {EUR: ...}` to exchange_rates",
        ],
        id="a rate without its currency",
    ),
    pytest.param(
        "{EUR: 0.87, from: 2026-11-01}",
        "{CHF: 0.87}",
        [
            "3:23: the exchange rate of USD lacks EUR",
            '3:24: "CHF" is neither `from` nor the estate\'s currency, EUR',
            "19:60: USD has no exchange rate; add `USD: {EUR: ...}` to exchange_rates",
        ],
        id="a rate in another currency",
    ),
    pytest.param(
        "Europe/Berlin",
        "Europe/Berln",
        ['4:12: time zone "Europe/Berln" is not known; did you mean "Europe/Berlin"?'],
        id="a misspelt time zone",
    ),
    pytest.param(
        "sales: {parent: acme, ",
        "sales: {",
        ['7:3: unit "sales" has no parent, nor has "acme"; exactly one unit is the root: give this one a parent'],
        id="two roots",
    ),
    pytest.param(
        "acme: {cost",
        "acme: {parent: sales, cost",
        ["6:18: parents go in a circle: acme > sales > acme"],
        id="parents in a circle",
    ),
    pytest.param(
        "acme: {cost",
        "acme: {parent: acme, cost",
        ["6:18: parents go in a circle: acme > acme"],
        id="a unit that is its own parent",
    ),
    pytest.param(
        "sales: {parent: acme",
        "sales: {parent: akme",
        ['7:19: unit "akme" is not declared; did you mean "acme"?'],
        id="an unknown parent",
    ),
    pytest.param(
        "  sales: {",
        "  Sales: {",
        [
            '7:3: name "Sales" does not fit: lower-case letters, digits and `._-`, a letter or digit first',
            '30:17: unit "sales" is not declared; did you mean "Sales"?',
        ],
        id="a name in capitals",
    ),
    pytest.param(
        "engine: {weights: builtin}",
        'engine: {weights: builtin}, url: "env:X"',
        ["22:111: an engine has an address of its own; take out engine or url"],
        id="an engine with a url",
    ),
    pytest.param(
        "weights: builtin",
        "weights: models/own.gguf",
        ["22:96: weights of your own need their sha256, so that no other file is ever run in their place"],
        id="weights without their hash",
    ),
    pytest.param(
        ", engine: {weights: builtin}",
        "",
        ['22:3: self-managed deployment "smol" has no engine and no url; give it one of them'],
        id="neither engine nor url",
    ),
    pytest.param(
        "pattern: self_managed",
        "pattern: saas",
        ["22:47: the exchange runs the engine itself, so the pattern is self_managed, not saas"],
        id="an engine in somebody else's cloud",
    ),
    pytest.param(
        "{unit: acme}, per",
        "{unit: acme, use_case: chat}, per",
        ["28:10: `on` names exactly one thing; this has unit and use_case"],
        id="a budget on two things",
    ),
    pytest.param(
        "  - {on: {unit: acme}, per",
        "  - {on: {unit: sales}, per: month, amount: 2000, hard: true}\n  - {on: {unit: acme}, per",
        ['28:45: 2000 a month is more than the 1000 a month that "acme" above it has; lower one or raise the other'],
        id="a hard budget above its parent's",
    ),
    pytest.param(
        ", rpm: 60",
        "",
        ["30:5: a limit needs at least one of tpm, rpm, tpd, rpd, concurrency"],
        id="a limit without a limit",
    ),
    pytest.param(
        "rpm: 60", "rpm: 60.5", ["30:30: rpm wants a whole number; this is 60.5"], id="a fraction of a request"
    ),
    pytest.param(
        "  sales: {",
        "  acme: CC-9\n  sales: {",
        ['7:3: "acme" is given twice; the first is at line 6'],
        id="a name given twice",
    ),
    pytest.param(
        "units:\n",
        "units: [\n",
        ["7:3: this is not YAML: expected ',' or ']', but got '<scalar>' (while parsing a flow sequence)"],
        id="a bracket that is not closed",
    ),
    pytest.param(
        "  sales: {parent",
        "\tsales: {parent",
        ["7:1: this is not YAML: a tab stands where only blanks may indent"],
        id="a tab",
    ),
    pytest.param(
        "estate: acme\n",
        "estate: acme\nowner: acme\n",
        ["2:1: `owner` belongs into a file of a folder; a single file declares all there is"],
        id="an owner of a single file",
    ),
    pytest.param(
        ", engine: {weights: builtin}",
        ', url: "http://me:secret@box"',
        ["22:83: url holds a name or password; put it in the environment and write `credentials: env:NAME`"],
        id="a password in a url",
    ),
    pytest.param(
        ", engine: {weights: builtin}",
        ', url: "box:8000"',
        ["22:83: url wants an http or https URL such as https://models.example.com/v1, or env:NAME"],
        id="a url without a scheme",
    ),
    pytest.param("pools: [main], ", "pools: [], ", ["26:70: pools is empty; it wants at least one"], id="no pools"),
    pytest.param(
        "direct: [openai/gpt-4.1-mini]",
        "patterns: ",
        ["26:88: patterns has no value; write one, or take the line out"],
        id="a field without a value",
    ),
    pytest.param(
        "estate: acme", "estate: !name acme", ["1:9: tags have no meaning here; take out `!name`"], id="a tag"
    ),
    pytest.param(
        "sales: {parent: acme, ",
        "sales: {parent: acme, groups: [sales], ",
        ['7:34: groups "sales" does not fit: a group is named oidc:NAME or group:NAME'],
        id="a group without its kind",
    ),
    pytest.param(
        "estate: acme\n",
        "",
        ["1:1: the estate lacks its name; write a line such as `estate: acme`"],
        id="no name for the estate",
    ),
    pytest.param(
        "{provider: self-managed, owner: acme}",
        "[1]",
        ["13:10: house wants a mapping, such as {name: value}; this is a list"],
        id="a list where a mapping is wanted",
    ),
    pytest.param(
        "weights: builtin",
        "weights: builtin, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ["22:113: builtin weights need no sha256; take it out"],
        id="builtin weights with a hash",
    ),
    pytest.param(
        "weights: builtin",
        "weights: own.gguf, sha256: abc",
        ['22:114: sha256 "abc" does not fit: a SHA-256 is 64 hexadecimal digits'],
        id="a hash that is none",
    ),
    pytest.param(
        "tiers: [[gpt], [smol]]",
        "tiers: [[gpt], [smol]], shares: {acme: {guarantee: 0.7}, sales: {guarantee: 0.5}}",
        ["24:55: the guarantees of this pool add up to 1.2; there is only 1 to share"],
        id="guarantees beyond the whole",
    ),
    pytest.param(
        "tiers: [[gpt], [smol]]",
        "tiers: [[gpt], [smol]], shares: {slaes: {borrow: 0.5}}",
        ['24:56: unit "slaes" is not declared; did you mean "sales"?'],
        id="a share of an unknown unit",
    ),
    pytest.param(
        "tiers: [[gpt], [smol]]",
        "tiers: [[gpt], [smol]], lend: {to: [slaes], at_most: 30}",
        [
            '24:59: unit "slaes" is not declared; did you mean "sales"?',
            "24:76: at_most is 30; it must be 1 or less; write 0.3 for 30 %",
        ],
        id="lending to an unknown unit",
    ),
    pytest.param(
        "pools: [main]",
        "pools: [main], successor: chat",
        ["26:89: a use case cannot be its own successor"],
        id="a successor of itself",
    ),
    pytest.param(
        "pools: [main]",
        "pools: [main], successor: chatt",
        ['26:89: use case "chatt" is not declared; did you mean "chat"?'],
        id="an unknown successor",
    ),
    pytest.param(
        "audience: [acme]", "audience: [acme, acme]", ['26:40: audience has "acme" already'], id="an audience twice"
    ),
    pytest.param(
        "audience: [acme]",
        "audience: ['oidc:']",
        ["26:34: audience wants a name after `oidc:`"],
        id="a group without a name",
    ),
    pytest.param(
        "currency: USD}",
        "internal_rate: {input_mtok: 1}}",
        ["19:65: the deployment has prices per token already; an internal rate stands beside a fixed price"],
        id="an internal rate beside prices per token",
    ),
    pytest.param(
        "{input_mtok: 0.40, output_mtok: 1.60, currency: USD}",
        "{internal_rate: {input_mtok: 1}}",
        ["19:28: an internal rate shares out a fixed price; add per_hour or people_per_month"],
        id="an internal rate of nothing",
    ),
    pytest.param(
        "input_mtok: 0.40",
        "input_mtok: -0.40",
        ["19:25: input_mtok is -0.40; it must be 0 or more"],
        id="a negative price",
    ),
    pytest.param(
        "per: month, amount: 1000",
        "per: month, time_zone: Mars, amount: 1000",
        ['28:47: time zone "Mars" is not known; write one such as "Europe/Berlin"'],
        id="an unknown zone of a budget",
    ),
    pytest.param(
        "{on: {unit: acme}, per",
        "{on: {}, per",
        ["28:10: `on` is empty; write one of unit, use_case, key, boundary, deployment, person, end_customer"],
        id="a budget on nothing",
    ),
    pytest.param(
        "training_use: {value: never",
        "app_state_retention_days: {value: none",
        ["21:41: app_state_retention_days is a number of days, or until_deleted"],
        id="days in words",
    ),
    pytest.param(
        "training_use: {is: never}",
        "app_state_retention_days: {within: [until_deleted]}",
        ["10:60: app_state_retention_days has no words to be within; write at_most"],
        id="a bound of days as a word",
    ),
    pytest.param(
        "training_use: {is: never}",
        "stored_by_default: {is: never}",
        ["10:49: stored_by_default is true or false"],
        id="a flag in words",
    ),
    pytest.param(
        "is: never}",
        "is: never, basis: attested_per_response}",
        ["10:58: no claim satisfies a basis that is attested per response: it is checked after the send"],
        id="a basis that comes too late",
    ),
    pytest.param(
        "model: openai/gpt-4.1-mini",
        "model: gpt-4.1-mini",
        ['16:12: model "gpt-4.1-mini" does not fit: a model is named vendor/name, such as openai/gpt-4.1-mini'],
        id="a model without its vendor",
    ),
    pytest.param(
        "{USD: {EUR: 0.87, from: 2026-11-01}}",
        "{EUR: {EUR: 1}}",
        [
            "3:18: EUR is the estate's own currency; it needs no exchange rate",
            "19:60: USD has no exchange rate; add `USD: {EUR: ...}` to exchange_rates",
        ],
        id="an own currency's rate",
    ),
]


RULES = [
    (
        'deployment.patern == "saas"',
        'at column 11: there is no "deployment.patern"; did you mean "deployment.pattern"?',
    ),
    ("deployment.pattern == 3", "at column 20: found no matching overload for '_==_' applied to '(string, int)'"),
    ("deployment.pattern", "it is string, and a rule is true or false"),
]


@pytest.mark.parametrize(("when", "fault"), RULES)
def test_a_rule_that_does_not_type_check_is_named_with_its_place(tmp_path: Path, when: str, fault: str) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(f"{ESTATE}rules:\n  no-saas: {{when: '{when}'}}\n")
    with pytest.raises(BadEstate) as caught:
        load(file)
    assert caught.value.faults == (f"{file}:32:19: the rule cannot be used: {fault}",)


def test_a_rule_that_does_not_parse_is_named_with_the_column(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(f"{ESTATE}rules:\n  no-saas: {{when: 'deployment.pattern == ', effect: deny}}\n")
    with pytest.raises(BadEstate, match="the rule cannot be used: at column 23: mismatched input"):
        load(file)


def test_successors_in_a_circle_are_named_with_the_way_round(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    chat = "  chat: {owner: acme, audience: [acme], data_class: internal, pools: [main], "
    other = chat.replace("chat:", "talk:") + "successor: chat}\n"
    file.write_text(ESTATE.replace(chat, other + chat + "successor: talk, "))
    with pytest.raises(BadEstate) as caught:
        load(file)
    assert [fault.split(": ", 1)[1] for fault in caught.value.faults] == [
        "successors go in a circle: talk > chat > talk; take one of them out",
        "successors go in a circle: chat > talk > chat; take one of them out",
    ]


def test_a_kind_of_deployment_that_the_provider_does_not_have_is_named(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    azure = ESTATE.replace("provider: openai", "provider: azure-openai")
    file.write_text(azure.replace("    boundary: cloud\n", "    boundary: cloud\n    sku: DataZonStandard\n"))
    with pytest.raises(BadEstate) as caught:
        load(file)
    assert caught.value.faults == (
        f'{file}:19:10: sku "DataZonStandard" is not one of Azure OpenAI; did you mean "DataZoneStandard"?',
    )
    file.write_text(azure.replace("    boundary: cloud\n", "    boundary: cloud\n    sku: DataZoneStandard\n"))
    assert load(file).estate.deployments["gpt"].sku == "DataZoneStandard"


@pytest.mark.parametrize(("right", "wrong", "faults"), MISTAKES)
def test_a_mistake_is_named_with_its_place_and_what_to_write(
    tmp_path: Path, right: str, wrong: str, faults: list[str]
) -> None:
    assert right in ESTATE
    file = tmp_path / "estate.yaml"
    file.write_text(ESTATE.replace(right, wrong, 1))

    with pytest.raises(BadEstate) as caught:
        load(file)

    assert [fault.removeprefix(f"{file}:") for fault in caught.value.faults] == faults


def test_the_estate_without_a_mistake_loads(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(ESTATE)

    assert load(file).estate.name == "acme"
