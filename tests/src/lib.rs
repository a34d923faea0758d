//! Acceptance stories.
