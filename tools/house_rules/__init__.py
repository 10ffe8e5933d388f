"""The house rules that need more than a regular expression: each module is one of them.

cc_source reads C++ as far as the rules need it, allowances keeps the lists of what a rule still
lets pass. Every rule is a function from files to findings; lint.py runs them all.
"""
