"""The grammar of replacements, and which sites and how many of them they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.errors import SubstitutionError
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution, parse_replacement, whole_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cs=K", Substitution("Cs", "K")),
        ("Cs=K:all", Substitution("Cs", "K")),
        ("Cs=K:3", Substitution("Cs", "K", counts=(3,))),
        ("Cs=K:0", Substitution("Cs", "K", counts=(0,))),
        ("Cs=K:1-4", Substitution("Cs", "K", counts=(1, 2, 3, 4))),
        ("Cs=K:0.125", Substitution("Cs", "K", fractions=(0.125,))),
        ("Cs=K:1.0", Substitution("Cs", "K", fractions=(1.0,))),
        ("Br=vacancy:1", Substitution("Br", "vacancy", counts=(1,))),
        ("Br=Vacancy:1", Substitution("Br", "vacancy", counts=(1,))),
        (" Cs = K : 3 ", Substitution("Cs", "K", counts=(3,))),
        ("Cs@18e=K:3", Substitution("Cs@18e", "K", counts=(3,))),
        ("Cs@Cs1,Cs2=K", Substitution("Cs@Cs1,Cs2", "K")),
    ],
)
def test_grammar(text: str, expected: Substitution) -> None:
    assert parse_replacement(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no replacement"),
        ("Cs", "no replacement"),
        ("=K", "no replacement"),
        ("Cs=", "no replacement"),
        ("Cs=K:", "no replacement"),
        ("Cs=K:3:4", "no number"),
        ("Cs=K:three", "no number"),
        ("Cs=K:-1", "no number"),
        ("Cs=K:4-1", "write 1-4"),
        ("Cs=K:1.5", "no part"),
        ("Cs=Xx", "no element"),
        ("Qq=K", "no element"),
        ("vacancy=K", "no element"),
        ("Cs=Cs", "with itself"),
    ],
)
def test_what_is_no_replacement(text: str, words: str) -> None:
    with pytest.raises(SubstitutionError, match=words):
        parse_replacement(text)


def test_the_words_of_a_spec() -> None:
    assert Substitution("Cs", "K", counts=[3, 1]).counts == (3, 1)  # type: ignore[arg-type]
    assert Substitution("Cs", "K", counts="all") == Substitution("Cs", "K")  # type: ignore[arg-type]
    assert Substitution("Cs", "K", fractions=[0.125]).fractions == (0.125,)  # type: ignore[arg-type]
    with pytest.raises(SubstitutionError, match="both counts and fractions"):
        Substitution("Cs", "K", counts=(1,), fractions=(0.5,))
    with pytest.raises(SubstitutionError, match="no number of sites"):
        Substitution("Cs", "K", counts=(1.5,))  # type: ignore[arg-type]
    with pytest.raises(SubstitutionError, match="no number of sites"):
        Substitution("Cs", "K", counts="some")  # type: ignore[arg-type]


def test_sites_by_species_position_and_label() -> None:
    host = load_host("Cs4PbBr6")
    every = parse_replacement("Cs=K").sites(host)
    assert [host.crystal.species[site] for site in every] == ["Cs"] * 24
    assert list(every) == sorted(every)
    on_a, on_e = parse_replacement("Cs@6a=K").sites(host), parse_replacement("Cs@e=K").sites(host)
    assert (len(on_a), len(on_e)) == (6, 18)
    assert sorted((*on_a, *on_e)) == list(every)
    assert parse_replacement("Cs@Cs1=K").sites(host) == on_a
    assert parse_replacement("Cs@Cs1,18e=K").sites(host) == every


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Na=K", "has no Na; it has Pb, Cs, Br"),
        ("Cs@4a=K", "no Cs at '4a'"),
        ("Cs@36f=K", "no Cs at '36f'"),
        ("Cs@Cs3=K", "did you mean"),
    ],
)
def test_sites_that_the_host_lacks(text: str, words: str) -> None:
    with pytest.raises(SubstitutionError, match=words):
        parse_replacement(text).sites(load_host("Cs4PbBr6"))


def test_contents() -> None:
    assert parse_replacement("Cs=K").contents(4) == (0, 1, 2, 3, 4)
    assert parse_replacement("Cs=K:2-4").contents(4) == (2, 3, 4)
    assert parse_replacement("Cs=K:0.5").contents(4) == (2,)
    assert Substitution("Cs", "K", counts=(3, 1, 3)).contents(4) == (1, 3)
    assert Substitution("Cs", "K", fractions=(0.333, 0.125)).contents(24) == (3, 8)
    with pytest.raises(SubstitutionError, match="5 is more than the 4 sites of Cs"):
        parse_replacement("Cs=K:3-5").contents(4)


def test_a_fraction_that_is_no_integer_names_the_nearest_that_are() -> None:
    with pytest.raises(SubstitutionError, match=r"0.1 of 24 sites is 2.4.*0.08333 \(2 sites\) and 0.125 \(3 sites\)"):
        parse_replacement("Cs=K:0.1").contents(24)


@given(st.integers(1, 400), st.data())
def test_every_exact_fraction_is_understood(sites: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, sites))
    assert whole_number(count / sites, sites, "here") == count
