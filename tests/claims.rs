//! What is claimed nobody else can claim, until it is released or over, and within stated bounds.

mod support;

use std::{num::NonZeroU32, time::Duration};

use support::claims::{MINUTE, hour, request};
use tokio::time::{Instant, advance};
use vacancy::cache::{
    Claim, ClaimError, ClaimRequest, Claims, Cover, ExtendClaimError, InvalidClaim, LONGEST_CLAIM,
    MAX_CLAIMS, Scope, Share, Span, unique_claim_id,
};

async fn claim(claims: &Claims, request: &ClaimRequest) -> Claim {
    claims.claim(request).await.expect("nothing is in the way")
}

/// When what is in the way is over.
async fn taken(claims: &Claims, request: &ClaimRequest) -> Duration {
    match claims.claim(request).await {
        Err(ClaimError::Taken { over_in, .. }) => over_in,
        other => panic!("something is in the way, but {other:?}"),
    }
}

/// The ids of the claims that meet a cover.
async fn ids(claims: &Claims, cover: Cover) -> Vec<String> {
    let found = claims.list(&[cover]).await.expect("in memory");
    let mut ids: Vec<_> = found.iter().map(|claim| claim.id().to_owned()).collect();
    ids.sort();
    ids
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

async fn invalid(request: ClaimRequest) -> Option<InvalidClaim> {
    match Claims::in_memory().claim(&request).await {
        Ok(_) => None,
        Err(ClaimError::Invalid(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_tells_what_was_asked_for_and_when_it_ends() {
    let claims = Claims::in_memory();
    assert!(!claims.any_here());
    let asked = request("1", "ann").alone(hour("a", 9)).note("a cut");
    let made = claim(&claims, &asked).await;
    assert_eq!(
        (made.tenant(), made.owner(), made.id(), made.note()),
        ("salon", "ann", "1", "a cut")
    );
    assert_eq!(made.covers().collect::<Vec<_>>(), [&hour("a", 9)]);
    assert_eq!(made.until(), Instant::now() + MINUTE);
    assert!(claims.any_here());
    assert_eq!(claims.list_here(&[hour("a", 9)]), [made]);
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_meets_what_is_asked_for() {
    let claims = Claims::in_memory();
    for (id, owner, cover) in [
        ("1", "ann", hour("a", 9)),
        ("2", "bob", hour("a", 10)),
        ("3", "ann", hour("b", 9)),
    ] {
        claim(&claims, &request(id, owner).alone(cover)).await;
    }
    let wide = Cover::new(Scope::new("salon", "chair", "a"), Span::new(0, 24));
    assert_eq!(ids(&claims, wide).await, ["1", "2"]);
    assert_eq!(ids(&claims, hour("a", 9)).await, ["1"]);
    assert_eq!(ids(&claims, hour("b", 9)).await, ["3"]);
    assert!(ids(&claims, hour("b", 10)).await.is_empty());
    assert!(ids(&claims, hour("c", 9)).await.is_empty());

    let of_ann = claims.of("salon", "ann").await.expect("in memory");
    let of_ann: Vec<_> = of_ann.iter().map(Claim::id).collect();
    assert_eq!(of_ann, ["1", "3"]);
    let find = async |owner, id| claims.find("salon", owner, id).await.expect("in memory");
    assert_eq!(find("bob", "2").await.expect("is claimed").owner(), "bob");
    assert_eq!(find("bob", "1").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_claim_ends_at_its_time_unless_it_was_extended() {
    let claims = Claims::in_memory();
    let of_ann = claim(&claims, &request("1", "ann").alone(hour("a", 9))).await;
    let of_bob = request("1", "bob").alone(hour("a", 9));
    assert_eq!(taken(&claims, &of_bob).await, MINUTE);
    advance(MINUTE / 2).await;
    let longer = claims.extend(&of_ann, MINUTE).await.expect("not over");
    assert_eq!(longer.until(), Instant::now() + MINUTE);
    assert_eq!(taken(&claims, &of_bob).await, MINUTE);
    let same = claims.extend(&longer, MINUTE / 2).await.expect("not over");
    assert_eq!(same.until(), longer.until());

    advance(MINUTE - Duration::from_millis(1)).await;
    assert_eq!(taken(&claims, &of_bob).await, Duration::from_millis(1));
    advance(Duration::from_millis(1)).await;
    let over = claims.extend(&longer, MINUTE).await;
    assert_eq!(over, Err(ExtendClaimError::Over));
    assert!(!claims.any_here());
    claim(&claims, &of_bob).await;
}

#[tokio::test(start_paused = true)]
async fn no_claim_lasts_longer_than_the_longest() {
    let claims = Claims::in_memory();
    assert_eq!(LONGEST_CLAIM, Duration::from_secs(86_400));
    let day = ClaimRequest::new("1", "ann", 2 * LONGEST_CLAIM).alone(hour("a", 9));
    let made = claim(&claims, &day).await;
    assert_eq!(made.until(), Instant::now() + LONGEST_CLAIM);
    advance(MINUTE).await;
    let longer = claims.extend(&made, 2 * LONGEST_CLAIM).await;
    let until = longer.expect("not over").until();
    assert_eq!(until, Instant::now() + LONGEST_CLAIM);
}

#[tokio::test(start_paused = true)]
async fn what_is_released_can_be_claimed_and_its_id_cannot_for_an_hour() {
    const HOUR: Duration = Duration::from_secs(3600);
    let claims = Claims::in_memory();
    let asked = request("1", "ann").alone(hour("a", 9));
    let made = claim(&claims, &asked).await;
    assert_eq!(claims.release(&made).await, Ok(true));
    assert_eq!(claims.release(&made).await, Ok(false));
    assert!(!claims.any_here());
    assert!(ids(&claims, hour("a", 9)).await.is_empty());
    let of_bob = claim(&claims, &request("1", "bob").alone(hour("a", 9))).await;
    assert_eq!(claims.release(&of_bob).await, Ok(true));

    advance(HOUR - Duration::from_millis(1)).await;
    assert_eq!(claims.claim(&asked).await, Err(ClaimError::Used));
    advance(Duration::from_millis(1)).await;
    claim(&claims, &asked).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_made_again_is_the_same_claim_unless_it_asks_for_something_else() {
    let claims = Claims::in_memory();
    let asked = request("1", "ann").alone(hour("a", 9)).note("a cut");
    let made = claim(&claims, &asked).await;
    advance(MINUTE / 2).await;
    assert_eq!(claim(&claims, &asked).await, made);
    for other in [
        request("1", "ann").alone(hour("a", 9)).note("a shave"),
        request("1", "ann").alone(hour("a", 10)).note("a cut"),
    ] {
        assert_eq!(claims.claim(&other).await, Err(ClaimError::Used));
    }
    assert_eq!(ids(&claims, hour("a", 9)).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_company_takes_as_many_places_as_there_are() {
    let claims = Claims::in_memory();
    let shared = |id: &str, owner: &str, share| request(id, owner).shared(hour("a", 9), share);
    let class = |takes| Share::new("yoga", number(3)).takes(number(takes));
    claim(&claims, &shared("1", "ann", class(1))).await;
    advance(MINUTE / 2).await;
    claim(&claims, &shared("2", "bob", class(2))).await;
    // Also of one's own.
    assert_eq!(
        taken(&claims, &shared("3", "ann", class(1))).await,
        MINUTE,
        "until the last of them is over"
    );
    // Who takes no place has always one, but not in another company, nor alone.
    claim(&claims, &shared("4", "eve", Share::unlimited("yoga"))).await;
    taken(&claims, &shared("5", "eve", Share::new("judo", number(9)))).await;
    taken(&claims, &request("6", "eve").alone(hour("a", 9))).await;
    advance(MINUTE / 2).await;
    claim(&claims, &shared("7", "joe", class(1))).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_has_claimed_is_in_ones_own_way_nowhere() {
    let claims = Claims::in_memory();
    claim(&claims, &request("1", "ann").alone(hour("a", 9))).await;
    claim(&claims, &request("2", "ann").alone(hour("a", 9))).await;
    assert_eq!(ids(&claims, hour("a", 9)).await, ["1", "2"]);
    taken(&claims, &request("1", "bob").alone(hour("a", 9))).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_which_a_part_is_taken_takes_nothing() {
    let claims = Claims::in_memory();
    claim(&claims, &request("1", "ann").alone(hour("b", 9))).await;
    let both = request("1", "bob").alone(hour("a", 9)).alone(hour("b", 9));
    let Err(ClaimError::Taken { scope, .. }) = claims.claim(&both).await else {
        panic!("one of them is taken");
    };
    assert_eq!(scope, hour("b", 9).scope);
    assert!(ids(&claims, hour("a", 9)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_and_a_scope_have_so_many_claims_and_no_more() {
    let claims = Claims::in_memory();
    let own = |n: usize| {
        let chair = Scope::new("salon", "chair", n.to_string());
        request(&n.to_string(), "ann").alone(Cover::new(chair, Span::ALL))
    };
    for n in 0..MAX_CLAIMS {
        claim(&claims, &own(n)).await;
    }
    let another = own(MAX_CLAIMS);
    assert_eq!(claims.claim(&another).await, Err(ClaimError::TooMany));
    // The last, whose chair nobody needs below.
    let last = own(MAX_CLAIMS - 1);
    let last = claim(&claims, &last).await;
    assert_eq!(claims.release(&last).await, Ok(true));
    claim(&claims, &another).await;

    let of_others = |n: usize| request("1", &format!("customer {n}")).alone(hour("z", n as i64));
    for n in 0..MAX_CLAIMS {
        claim(&claims, &of_others(n)).await;
    }
    let scope = Scope::new("salon", "chair", "z");
    let full = claims.claim(&of_others(MAX_CLAIMS)).await;
    assert_eq!(full, Err(ClaimError::Full { scope }));
}

#[tokio::test]
async fn a_claim_names_something_of_one_tenant() {
    assert_eq!(
        invalid(request("1", "ann")).await,
        Some(InvalidClaim::Nothing)
    );
    let elsewhere = Cover::new(Scope::new("spa", "chair", "a"), Span::new(9, 10));
    let both = request("1", "ann").alone(hour("a", 9)).alone(elsewhere);
    assert_eq!(invalid(both).await, Some(InvalidClaim::SeveralTenants));
    let never = Cover::new(hour("a", 9).scope, Span::new(9, 9));
    let some = request("1", "ann").alone(hour("a", 9)).alone(never);
    assert_eq!(invalid(some).await, Some(InvalidClaim::EmptySpan));
}

#[tokio::test]
async fn a_claim_has_at_most_64_parts_and_64_kib_of_text() {
    let parts = |count| (0..count).fold(request("1", "ann"), |all, n| all.alone(hour("a", n)));
    assert_eq!(invalid(parts(64)).await, None);
    assert_eq!(invalid(parts(65)).await, Some(InvalidClaim::TooLarge));

    let texts = |lengths: [usize; 7]| {
        let [tenant, kind, chair, company, id, owner, note] =
            lengths.map(|length| "x".repeat(length));
        let cover = Cover::new(Scope::new(tenant, kind, chair), Span::ALL);
        let share = Share::new(company, NonZeroU32::MIN);
        ClaimRequest::new(id, owner, MINUTE)
            .shared(cover, share)
            .note(note)
    };
    let mut lengths = [100; 7];
    lengths[6] = (64 << 10) - 600;
    assert_eq!(invalid(texts(lengths)).await, None);
    for place in 0..7 {
        let mut more = lengths;
        more[place] += 1;
        let refused = Some(InvalidClaim::TooLarge);
        assert_eq!(invalid(texts(more)).await, refused, "{place}");
    }
}

#[test]
fn no_two_ids_are_the_same() {
    assert_ne!(unique_claim_id(), unique_claim_id());
}
