"""How tokens gather into groups: around centres, in pairs, within a distance."""
