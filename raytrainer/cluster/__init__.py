"""Where does it run? The Ray trial, its ranks, node preparation and monitoring."""
