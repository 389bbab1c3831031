"""Controllers: each follows the store and brings what there is closer to what is asked for."""
