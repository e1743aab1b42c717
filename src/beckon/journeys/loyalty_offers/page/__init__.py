"""The member's own page: the wallet, the rewards store, campaigns to say yes to; behind a signed pass."""
