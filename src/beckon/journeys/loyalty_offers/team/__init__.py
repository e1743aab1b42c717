"""The team's pages for loyalty: members, campaigns, and the box beside a conversation."""
