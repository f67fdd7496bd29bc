//! Who may sign in to a cluster's database. Passwords are data: a restored cluster has those of then.

use jiff::Timestamp;

use crate::aws::secretsmanager::Login;

/// The master user, and every password that was ever set.
#[derive(Clone, Debug)]
pub(super) struct Logins {
    pub(super) master: String,
    set: Vec<(Timestamp, Login)>,
}

impl Logins {
    /// The master user alone.
    pub(super) fn of(master: Login) -> Self {
        Self {
            master: master.user.clone(),
            set: vec![(Timestamp::MIN, master)],
        }
    }

    /// As they were then.
    pub(super) fn as_of(&self, to: Timestamp) -> Self {
        let set = self.set.iter().filter(|(since, _)| *since <= to).cloned();
        Self {
            master: self.master.clone(),
            set: set.collect(),
        }
    }

    pub(super) fn set(&mut self, now: Timestamp, login: Login) {
        self.set.push((now, login));
    }

    pub(super) fn take(&self, login: &Login) -> bool {
        let of_user = |(_, set): &&(Timestamp, Login)| set.user == login.user;
        self.set.iter().rev().find(of_user).is_some_and(|(_, set)| set == login)
    }
}
