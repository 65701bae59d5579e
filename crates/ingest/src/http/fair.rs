//! A semaphore that gives its permits in turn by client, so that the crowd of one does not keep the
//! others waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::client::Client;

/// Permits that are given out by turns.
#[derive(Clone)]
pub struct FairSemaphore(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Permits that one client may hold: fewer than there are, so that the next always finds one.
    most_of_client: usize,
}

struct State {
    free: usize,
    held: HashMap<Client, usize>,
    /// The waiting requests, by client; the client whose turn is next comes first.
    waiting: VecDeque<(Client, VecDeque<oneshot::Sender<FairPermit>>)>,
}

/// One of the permits, until it is dropped.
pub struct FairPermit {
    inner: Arc<Inner>,
    client: Client,
}

impl FairSemaphore {
    /// This many permits, of which one in sixteen, but at least one, is out of reach for a client that
    /// holds all the others.
    pub fn new(permits: usize) -> FairSemaphore {
        let state = State { free: permits, held: HashMap::new(), waiting: VecDeque::new() };
        let most_of_client = (permits - permits.div_ceil(16)).max(1);
        FairSemaphore(Arc::new(Inner { state: Mutex::new(state), most_of_client }))
    }

    /// A permit; none when it takes longer than `patience`.
    pub async fn acquire(&self, client: Client, patience: Duration) -> Option<FairPermit> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.0.lock();
            match state.waiting.iter_mut().find(|(of, _)| *of == client) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.waiting.push_back((client, VecDeque::from([sender]))),
            }
        }
        self.0.give_out();
        tokio::time::timeout(patience, receiver).await.ok()?.ok()
    }
}

impl Inner {
    /// Gives free permits to waiting clients. Nothing is sent while the lock is held: a permit that is
    /// no longer taken comes back through its `drop`.
    fn give_out(self: &Arc<Inner>) {
        loop {
            let next = self.lock().next(self.most_of_client);
            let Some((client, sender)) = next else { return };
            drop(sender.send(FairPermit { inner: Arc::clone(self), client }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next one, with a permit reserved for it.
    fn next(&mut self, most_of_client: usize) -> Option<(Client, oneshot::Sender<FairPermit>)> {
        for (_, queue) in &mut self.waiting {
            queue.retain(|sender| !sender.is_closed());
        }
        self.waiting.retain(|(_, queue)| !queue.is_empty());
        if self.free == 0 {
            return None;
        }
        let has_room = |client: &Client| self.held.get(client).is_none_or(|held| *held < most_of_client);
        let index = self.waiting.iter().position(|(client, _)| has_room(client))?;
        let (client, mut queue) = self.waiting.remove(index)?;
        let sender = queue.pop_front()?;
        if !queue.is_empty() {
            self.waiting.push_back((client, queue));
        }
        self.free -= 1;
        *self.held.entry(client).or_default() += 1;
        Some((client, sender))
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        state.free += 1;
        if let Some(held) = state.held.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.client);
            }
        }
        drop(state);
        self.inner.give_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([127, 0, 0, last]))
    }

    #[tokio::test]
    async fn a_crowd_leaves_a_permit_to_the_next_client() {
        let permits = FairSemaphore::new(4);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(permits.acquire(client(1), LONG).await.unwrap());
        }
        assert!(permits.acquire(client(1), Duration::from_millis(20)).await.is_none());
        let honest = permits.acquire(client(2), LONG).await.unwrap();
        // All are taken: of those who wait, each client gets one in its turn.
        let crowd: Vec<_> = (0..50)
            .map(|_| {
                let permits = permits.clone();
                tokio::spawn(async move { permits.acquire(client(1), LONG).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let waits = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire(client(2), LONG).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waits.await.unwrap().is_some());
        drop(honest);
        for one in crowd {
            assert!(one.await.unwrap().is_some());
        }
        assert_eq!(permits.0.lock().free, 4);
    }

    #[tokio::test]
    async fn whoever_is_gone_takes_no_permit() {
        let permits = FairSemaphore::new(1);
        let held = permits.acquire(client(1), LONG).await.unwrap();
        for _ in 0..1_000 {
            assert!(permits.acquire(client(1), Duration::ZERO).await.is_none());
        }
        drop(held);
        assert!(permits.acquire(client(2), LONG).await.is_some());
        assert!(permits.0.lock().held.is_empty());
    }
}
