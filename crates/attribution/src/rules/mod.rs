//! Conversion rules: conversion events of what records of a connected CRM become, and their corrections.

pub(crate) mod consumer;
pub(crate) mod decide;
pub(crate) mod spec;
pub(crate) mod waiting;

use jiff::Timestamp;
use model::{ConnectionId, ConversionRuleId, OrganizationId};

use self::spec::Spec;

/// A rule of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: ConversionRuleId,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor_object: String,
    pub(crate) spec: Spec,
    pub(crate) enabled: bool,
    /// Only what changed since then counts.
    pub(crate) since: Timestamp,
    /// When the records that were there already had been read.
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
}
