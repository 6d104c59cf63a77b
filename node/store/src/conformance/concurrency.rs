//! Calls at the same time.

use super::{at, entry, jid, new_account, stored, whole_log};
use crate::log::{LogQuery, LogRange};
use crate::{Store, StoreError};

pub async fn of_concurrent_creations_one_wins(store: &dyn Store) {
    let tries = (0..20).map(|_| store.create_account(new_account("juliet@capulet.example")));
    let outcomes = join_all(tries.collect()).await;
    let wins = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(wins, 1);
    let lost = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(StoreError::AlreadyExists));
    assert_eq!(lost.count(), 19);
}

pub async fn concurrent_appends_are_all_there(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    let appends = (0..500).map(|number| store.append(vec![entry(&juliet, number)]));
    assert!(join_all(appends.collect()).await.iter().all(Result::is_ok));
    assert_eq!(
        whole_log(store, &juliet).await,
        (0..500).map(stored).collect::<Vec<_>>()
    );
}

pub async fn a_refused_operation_does_not_harm_its_neighbours(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    let (before, created, unknown, behind) = tokio::join!(
        store.append(vec![entry(&juliet, 1)]),
        store.create_account(new_account("juliet@capulet.example")),
        store.set_enabled(&romeo, false),
        store.append(vec![entry(&juliet, 2)]),
    );
    assert_eq!((before, behind), (Ok(()), Ok(())));
    assert_eq!(created, Err(StoreError::AlreadyExists));
    assert_eq!(unknown, Err(StoreError::NotFound));
    assert_eq!(whole_log(store, &juliet).await, [1, 2].map(stored));
}

pub async fn reads_see_what_was_acknowledged_before_they_began(store: &dyn Store) {
    let (juliet, romeo) = (jid("juliet@capulet.example"), jid("romeo@montague.example"));
    let work = (0..300).map(|number| {
        let (juliet, romeo) = (&juliet, &romeo);
        async move {
            let append = entry(juliet, number).and(romeo.clone(), at(number));
            store.append(vec![append]).await.unwrap();
            let range = LogQuery {
                before: Some(at(number + 1)),
                ..LogQuery::before(None, 1)
            };
            let newest = store.read_log(romeo, range).await.unwrap();
            newest == [stored(number)]
        }
    });
    assert!(join_all(work.collect()).await.into_iter().all(|seen| seen));
}

pub async fn a_deletion_beside_appends_leaves_no_stanza_behind(store: &dyn Store) {
    let juliet = jid("juliet@capulet.example");
    store
        .create_account(new_account("juliet@capulet.example"))
        .await
        .unwrap();
    for round in 0..10 {
        let (deleted, created, appended) = tokio::join!(
            store.delete_account(&juliet, None),
            store.create_account(new_account("juliet@capulet.example")),
            store.append(vec![entry(&juliet, round)]),
        );
        assert_eq!((deleted, appended), (Ok(true), Ok(())));
        if created.is_err() {
            store
                .create_account(new_account("juliet@capulet.example"))
                .await
                .unwrap();
        }
        let left = store.log_usage(&juliet).await.unwrap().entries;
        assert!(left <= 1, "only what came behind the creation can be there");
        assert_eq!(store.remove_log(&juliet, LogRange::all()).await, Ok(left));
    }
}

/// Runs futures of one kind at the same time and gives their outputs in order.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    use std::pin::pin;
    use std::task::Poll;

    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| Some(Box::pin(future)))
        .collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let all = std::future::poll_fn(move |context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            let Some(running) = future else { continue };
            if let Poll::Ready(done) = running.as_mut().poll(context) {
                *output = Some(done);
                *future = None;
            }
        }
        if futures.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        Poll::Ready(outputs.iter_mut().filter_map(Option::take).collect())
    });
    pin!(all).await
}
