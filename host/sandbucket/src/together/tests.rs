use std::time::Duration;

use futures::future::{FutureExt, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};

use super::*;

/// Doubles numbers. Spoilt by some, slow at others or never done with them, and it keeps how many it was asked for each time.
#[derive(Default)]
struct Doubler {
    asked: Mutex<Vec<usize>>,
}

const SPOILT: u32 = 1_000_000;
const SLOW: u32 = 2_000_000;
const FEWER: u32 = 3_000_000;
const NEVER: u32 = 4_000_000;

impl Together for &Doubler {
    type Question = u32;
    type Answer = u32;

    fn deadline(&self) -> Option<(Alarm, Instant)> {
        None
    }

    fn overdue(&self) -> Error {
        Error::plugin("overdue")
    }

    async fn ask(&self, questions: &[u32]) -> Result<Vec<u32>> {
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
async fn those_who_ask_at_the_same_time_ask_once() {
    let (round, doubler) = (Round::default(), Doubler::default());
    let asked = join_all((0..10).map(|n| round.ask(n, false, &doubler))).await;
    let asked: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    assert_eq!(asked, (0..10).map(|n| (n, n * 2, false)).collect::<Vec<_>>());
    assert_eq!(doubler.asked.lock().unwrap().len(), 1);

    assert_eq!(round.ask(4, true, &doubler).await.unwrap(), (4, 8, false));
    assert_eq!(doubler.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn many_ask_in_several_calls() {
    let (round, doubler) = (Round::default(), Doubler::default());
    let asked = join_all((0..100).map(|n| round.ask(n, false, &doubler))).await;
    assert!(asked.into_iter().enumerate().all(|(n, asked)| asked.unwrap() == (n as u32, 2 * n as u32, false)));
    assert_eq!(*doubler.asked.lock().unwrap(), [32, 32, 32, 4]);
}

#[tokio::test]
async fn one_that_spoils_it_spoils_it_for_itself() {
    for odd in [SPOILT, FEWER] {
        let (round, doubler) = (Round::default(), Doubler::default());
        let asked = join_all([1, odd, 3].map(|n| round.ask(n, false, &doubler))).await;
        let [one, spoilt, three] = asked.try_into().unwrap();
        assert_eq!((one.unwrap(), three.unwrap()), ((1, 2, true), (3, 6, true)));
        assert!(matches!(spoilt, Err(Error::Plugin { .. })));
        assert_eq!(*doubler.asked.lock().unwrap(), [3, 1, 1, 1]);
        // Alone, once is enough.
        let calls = doubler.asked.lock().unwrap().len();
        for alone in [true, false] {
            assert!(round.ask(odd, alone, &doubler).await.is_err());
        }
        assert!(doubler.asked.lock().unwrap().len() <= calls + 3);
    }
}

#[tokio::test]
async fn whoever_asks_for_others_may_be_given_up() {
    let (round, doubler) = (Round::default(), Doubler::default());
    let mut first = Box::pin(round.ask(NEVER, false, &doubler));
    let mut others: FuturesUnordered<_> = (1..4).map(|n| round.ask(n, false, &doubler)).collect();
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
async fn who_was_given_up_before_is_not_asked_for() {
    let (round, doubler) = (Round::default(), Doubler::default());
    let mut gone = Box::pin(round.ask(1, false, &doubler));
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    assert_eq!(round.ask(2, false, &doubler).await.unwrap(), (2, 4, false));
    assert_eq!(*doubler.asked.lock().unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn from_several_threads() {
    let (round, doubler) = (Arc::new(Round::default()), Arc::new(Doubler::default()));
    let tasks = (0..8_u32).map(|task| {
        let (round, doubler) = (round.clone(), doubler.clone());
        tokio::spawn(async move {
            for n in 0..500 {
                let question = task * 1000 + n + if n % 50 == 7 { SLOW } else { 0 };
                let (same, answer, _) = round.ask(question, false, &*doubler).await.unwrap();
                assert_eq!((same, answer), (question, question * 2));
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(doubler.asked.lock().unwrap().iter().sum::<usize>(), 4000);
}
