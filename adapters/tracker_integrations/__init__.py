"""local-tracker in other people's training loops: one module per neighbour, loaded when it is imported.

from tracker_integrations.lightning import TrackerLogger
"""

from __future__ import annotations

from local_tracker import checked as checked
