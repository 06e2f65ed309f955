"""Filters and sort keys as people write them, read into a small tree.

    val_loss < 0.3 and params.lr >= 1e-3 and (status = 'finished' or name like 'dig%')

::

    filter  = all {"or" all}            all   = one {"and" one}
    one     = "not" one | "(" filter ")" | test
    test    = side ("<" | "<=" | ">" | ">=" | "=" | "!=") side
            | field ["not"] "like" 'text' | field ["not"] "in" "(" literal {"," literal} ")"
            | field "is" ["not"] ("null" | "nan")
    side    = field | literal           field = name | function "(" name ")"
    literal = 0.3 | 1e-3 | inf | nan | 'text' | true | false | today | yesterday | now - 12h

A name with other characters than letters, digits and ``_ . / - @`` goes into double quotes; where no such
name fits, double quotes stand around text, too. ``params.``, ``tags.``, ``captured.``, ``metrics.`` and
``run.`` say where a name is looked up. What a name means, and the bound SQL of a tree, is
`tracker.filters.compile`'s business.
"""
