//! Messages to people: Slack.
