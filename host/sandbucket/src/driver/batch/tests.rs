use std::time::Duration;

use futures::future::{FutureExt, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};

use super::*;

/// Doubles numbers. Some make it fail, some make it slow or never end. Keeps the size of each batch.
#[derive(Default)]
struct Doubler {
    asked: Mutex<Vec<usize>>,
}

const SPOILT: u32 = 1_000_000;
const SLOW: u32 = 2_000_000;
const FEWER: u32 = 3_000_000;
const NEVER: u32 = 4_000_000;

impl BatchCall for &Doubler {
    type Input = u32;
    type Output = u32;

    fn deadline(&self) -> Option<(Timer, Instant)> {
        None
    }

    fn overdue(&self) -> Error {
        Error::plugin("overdue")
    }

    async fn call(&self, questions: &[u32], bytes: usize) -> Result<Vec<u32>> {
        assert_eq!(bytes, 3 * questions.len());
        self.asked.lock().unwrap().push(questions.len());
        if questions.contains(&NEVER) {
            std::future::pending::<()>().await;
        }
        if questions.iter().any(|question| *question >= SLOW && *question < FEWER) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if questions.iter().any(|question| *question >= SPOILT && *question < SLOW) {
            return Err(Error::plugin("spoilt"));
        }
        let mut answers: Vec<u32> = questions.iter().map(|question| question * 2).collect();
        if questions.iter().any(|question| *question >= FEWER) {
            answers.pop();
        }
        Ok(answers)
    }
}

#[tokio::test]
async fn concurrent_inputs_share_one_call() {
    let (batcher, doubler) = (Batcher::default(), Doubler::default());
    let asked = join_all((0..10).map(|n| batcher.run(n, 3, false, &doubler))).await;
    let asked: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    assert_eq!(asked, (0..10).map(|n| (n, n * 2, false)).collect::<Vec<_>>());
    assert_eq!(doubler.asked.lock().unwrap().len(), 1);

    assert_eq!(batcher.run(4, 3, true, &doubler).await.unwrap(), (4, 8, false));
    assert_eq!(doubler.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn many_inputs_take_several_calls() {
    let (batcher, doubler) = (Batcher::default(), Doubler::default());
    let asked = join_all((0..100).map(|n| batcher.run(n, 3, false, &doubler))).await;
    assert!(asked.into_iter().enumerate().all(|(n, asked)| asked.unwrap() == (n as u32, 2 * n as u32, false)));
    assert_eq!(*doubler.asked.lock().unwrap(), [32, 32, 32, 4]);
}

#[tokio::test]
async fn failed_batch_is_repeated_one_by_one() {
    for odd in [SPOILT, FEWER] {
        let (batcher, doubler) = (Batcher::default(), Doubler::default());
        let asked = join_all([1, odd, 3].map(|n| batcher.run(n, 3, false, &doubler))).await;
        let [one, spoilt, three] = asked.try_into().unwrap();
        assert_eq!((one.unwrap(), three.unwrap()), ((1, 2, true), (3, 6, true)));
        assert!(matches!(spoilt, Err(Error::Plugin { .. })));
        assert_eq!(*doubler.asked.lock().unwrap(), [3, 1, 1, 1]);
        // Alone, once is enough.
        let calls = doubler.asked.lock().unwrap().len();
        for alone in [true, false] {
            assert!(batcher.run(odd, 3, alone, &doubler).await.is_err());
        }
        assert!(doubler.asked.lock().unwrap().len() <= calls + 3);
    }
}

#[tokio::test]
async fn dropped_leader_fails_nobody_else() {
    let (batcher, doubler) = (Batcher::default(), Doubler::default());
    let mut first = Box::pin(batcher.run(NEVER, 3, false, &doubler));
    let mut others: FuturesUnordered<_> = (1..4).map(|n| batcher.run(n, 3, false, &doubler)).collect();
    let mut others = Box::pin(async { (others.next().await, others.next().await, others.next().await) });
    // The first asks for all, and is given up in the middle of it.
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut others).now_or_never().is_none());
    let pause = std::pin::pin!(tokio::time::sleep(Duration::from_millis(5)));
    select(first, pause).await;
    let (one, two, three) = others.await;
    let mut told: Vec<_> = [one, two, three].map(|asked| asked.unwrap().unwrap()).to_vec();
    told.sort_unstable();
    assert_eq!(told, [(1, 2, true), (2, 4, true), (3, 6, true)]);
    assert_eq!(*doubler.asked.lock().unwrap(), [4, 1, 1, 1]);
}

#[tokio::test]
async fn dropped_input_is_not_sent() {
    let (batcher, doubler) = (Batcher::default(), Doubler::default());
    let mut gone = Box::pin(batcher.run(1, 3, false, &doubler));
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    assert_eq!(batcher.run(2, 3, false, &doubler).await.unwrap(), (2, 4, false));
    assert_eq!(*doubler.asked.lock().unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_across_threads() {
    let (batcher, doubler) = (Arc::new(Batcher::default()), Arc::new(Doubler::default()));
    let tasks = (0..8_u32).map(|task| {
        let (batcher, doubler) = (batcher.clone(), doubler.clone());
        tokio::spawn(async move {
            for n in 0..500 {
                let question = task * 1000 + n + if n % 50 == 7 { SLOW } else { 0 };
                let (same, answer, _) = batcher.run(question, 3, false, &*doubler).await.unwrap();
                assert_eq!((same, answer), (question, question * 2));
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(doubler.asked.lock().unwrap().iter().sum::<usize>(), 4000);
}
