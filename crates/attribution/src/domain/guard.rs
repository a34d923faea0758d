//! What is believed of a click that somebody ties to a user, and what waits for a person.

use super::{
    facts::{Click, Facts, is_email},
    outcome::Suspicion,
};

named! {
    /// Whether whoever identifies a user has to prove that the merchant says so.
    Signing {
        /// Signatures are not looked at.
        Off = "off",
        /// A signature that is given must be right.
        On = "on",
        /// There must be one.
        Required = "required",
    }
}

/// The settings of an organization. A limit of 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guards {
    pub(crate) signing: Signing,
    pub(crate) users_per_click: u32,
    pub(crate) identifies_per_address_hour: u32,
    pub(crate) events_per_partner_hour: u32,
    pub(crate) one_stitch_per_day: bool,
    pub(crate) known_customers_wait: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            signing: Signing::Off,
            users_per_click: 5,
            identifies_per_address_hour: 30,
            events_per_partner_hour: 0,
            one_stitch_per_day: true,
            known_customers_wait: true,
        }
    }
}

/// What is known elsewhere when a click is tied to a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Other users of the same click.
    pub(crate) users_of_click: u32,
    /// Identifies of the partner in the last hour by clicks of the same address.
    pub(crate) of_address: u32,
    /// The same person is known under another user id.
    pub(crate) same_person: bool,
}

impl Guards {
    /// What is odd about tying a click to a user, by what is known of others. A signature says that the merchant
    /// knows the user, not that the user is new.
    pub(crate) fn suspicion(&self, seen: Seen) -> Option<Suspicion> {
        let over = |limit: u32, count: u32| limit > 0 && count >= limit;
        if seen.same_person {
            Some(Suspicion::DuplicateCustomer)
        } else if over(self.users_per_click, seen.users_of_click) {
            Some(Suspicion::UsersPerClick)
        } else if over(self.identifies_per_address_hour, seen.of_address) {
            Some(Suspicion::IdentifiesPerAddress)
        } else {
            None
        }
    }

    /// The click by which the partner is tied to this user on the same day (UTC) already: of all of that day the earliest
    /// counts, whichever was told first.
    pub(crate) fn stitched<'f>(&self, known: &'f Facts, click: &Click) -> Option<&'f Click> {
        let day = |click: &Click| click.identified_at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let same = |one: &&Click| one.partner == click.partner && day(one) == day(click);
        let those = known.clicks.iter().filter(same).filter(|_| self.one_stitch_per_day);
        those.min_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)))
    }
}

/// Whose mail a user id is: the same for the addresses that reach the same inbox. Other ids are their own.
pub(crate) fn person(user_key: &str) -> String {
    let Some((name, host)) = user_key.split_once('@').filter(|_| is_email(user_key)) else {
        return user_key.to_owned();
    };
    let (name, host) = (name.to_lowercase(), host.to_lowercase());
    let name = name.split_once('+').map_or(name.as_str(), |(name, _)| name);
    match host.as_str() {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", name.replace('.', "")),
        _ => format!("{name}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_inbox_are_one_person_and_others_are_not() {
        for (one, other) in [
            ("ann.lee+shop@gmail.com", "annlee@googlemail.com"),
            ("ann+2@corp.example", "Ann@Corp.Example"),
            ("user-1", "user-1"),
        ] {
            assert_eq!(person(one), person(other));
        }
        for (one, other) in [
            ("ann.lee@corp.example", "annlee@corp.example"),
            ("a+b", "a"),
            ("ann@gmail.com", "bob@gmail.com"),
        ] {
            assert_ne!(person(one), person(other));
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let seen = Seen { users_of_click: 1_000, of_address: 1_000, same_person: false };
        let off = Guards { users_per_click: 0, identifies_per_address_hour: 0, ..Guards::default() };
        assert_eq!(off.suspicion(seen), None);
        assert_eq!(Guards::default().suspicion(seen), Some(Suspicion::UsersPerClick));
        let within = Seen { users_of_click: 4, of_address: 29, same_person: false };
        assert_eq!(Guards::default().suspicion(within), None);
    }
}
