//! Generated modules: whatever a compiler might emit, the same call gives the same output and the same units, in a pooled worker
//! in a virtual machine and in a fresh engine, run again and compiled at another level of optimisation; and none of them harms its host.
//!
//! `CRYPTLET_GENERATED_MODULES=10000` runs the long form; every module is made from its number alone.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{InsecureInProcess, IsolationProvider};
use cryptlet_primitives::ResultStatus;
use std::fmt::Write;
use support::*;

const FEW: u64 = 40;

/// Numbers that look random and are the same everywhere (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % sides
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len() as u64) as usize]
    }
}

const UNARY: [(&str, &[&str]); 4] = [
    ("i32", &["i32.clz", "i32.popcnt", "i32.eqz", "i32.extend8_s"]),
    ("i64", &["i64.ctz", "i64.popcnt", "i64.extend32_s"]),
    ("f32", &["f32.sqrt", "f32.neg", "f32.ceil", "f32.nearest", "f32.abs"]),
    ("f64", &["f64.sqrt", "f64.neg", "f64.floor", "f64.nearest", "f64.trunc"]),
];
const BINARY: [(&str, &[&str]); 4] = [
    ("i32", &["i32.add", "i32.mul", "i32.xor", "i32.shl", "i32.rotr", "i32.div_s", "i32.rem_u", "i32.lt_s"]),
    ("i64", &["i64.add", "i64.mul", "i64.and", "i64.shr_s", "i64.rotl", "i64.div_u", "i64.rem_s"]),
    ("f32", &["f32.add", "f32.mul", "f32.div", "f32.min", "f32.copysign"]),
    ("f64", &["f64.add", "f64.sub", "f64.mul", "f64.div", "f64.max"]),
];
/// From which type to which.
const CONVERSIONS: [(&str, &str, &str); 14] = [
    ("i64", "i32", "i32.wrap_i64"),
    ("i32", "i64", "i64.extend_i32_u"),
    ("f32", "i32", "i32.reinterpret_f32"),
    ("f64", "i64", "i64.reinterpret_f64"),
    ("i32", "f32", "f32.reinterpret_i32"),
    ("i64", "f64", "f64.reinterpret_i64"),
    ("f64", "f32", "f32.demote_f64"),
    ("f32", "f64", "f64.promote_f32"),
    ("i32", "f64", "f64.convert_i32_s"),
    ("i64", "f32", "f32.convert_i64_u"),
    ("f64", "i32", "i32.trunc_sat_f64_s"),
    ("f32", "i64", "i64.trunc_sat_f32_u"),
    ("f64", "i64", "i64.trunc_f64_s"),
    ("f32", "i32", "i32.trunc_f32_u"),
];

fn of<'a>(table: &[(&str, &'a [&'a str])], ty: &str) -> &'a [&'a str] {
    table.iter().find(|(found, _)| *found == ty).unwrap().1
}

/// An expression of a type, as folded text.
fn expression(dice: &mut Dice, ty: &str, depth: u32) -> String {
    if depth == 0 {
        return leaf(dice, ty);
    }
    match dice.roll(9) {
        0 => leaf(dice, ty),
        1 => format!("({} {})", dice.pick(of(&UNARY, ty)), expression(dice, ty, depth - 1)),
        2..=4 => {
            let operator = dice.pick(of(&BINARY, ty));
            format!("({operator} {} {})", expression(dice, ty, depth - 1), expression(dice, ty, depth - 1))
        }
        5 => {
            let ways: Vec<_> = CONVERSIONS.iter().filter(|(_, to, _)| *to == ty).collect();
            let (from, _, operator) = ways[dice.roll(ways.len() as u64) as usize];
            format!("({operator} {})", expression(dice, from, depth - 1))
        }
        6 => {
            let (one, other) = (expression(dice, ty, depth - 1), expression(dice, ty, depth - 1));
            format!("(select {one} {other} {})", expression(dice, "i32", depth - 1))
        }
        7 => {
            let (yes, no) = (expression(dice, ty, depth - 1), expression(dice, ty, depth - 1));
            format!("(if (result {ty}) {} (then {yes}) (else {no}))", expression(dice, "i32", depth - 1))
        }
        _ => {
            let place = expression(dice, "i32", depth - 1);
            // Now and then the place is not in memory: a trap is an end like any other.
            let mask = if dice.roll(40) == 0 { "0x0fffffff" } else { "0xfff0" };
            format!("({ty}.load (i32.and {place} (i32.const {mask})))")
        }
    }
}

fn leaf(dice: &mut Dice, ty: &str) -> String {
    if dice.roll(2) == 0 {
        return format!("(local.get $v-{ty})");
    }
    match ty {
        "i32" => format!("(i32.const {})", dice.roll(1 << 32) as u32 as i32),
        "i64" => format!("(i64.const {})", dice.roll(u64::MAX) as i64),
        float => {
            let odd = ["nan", "-nan", "inf", "-inf", "-0", "0x1p-1000", "nan:0x200001"];
            let choice = dice.roll(odd.len() as u64 * 3) as usize;
            let number = match odd.get(choice) {
                Some(&"0x1p-1000") if float == "f32" => "0x1p-140".to_owned(),
                Some(number) => (*number).to_owned(),
                None => format!("{}.5", dice.roll(1_000_000)),
            };
            format!("({float}.const {number})")
        }
    }
}

/// The body of `handle`: statements over four variables, some in loops, some through a function, then all of it as output.
fn module(number: u64) -> Vec<u8> {
    let mut dice = Dice(number);
    let types = ["i32", "i64", "f32", "f64"];
    let locals: String = types.iter().map(|ty| format!("(local $v-{ty} {ty})")).collect();
    let mut helper =
        format!("(func $helper (param $v-i32 i32) (result i64) {}", &locals.replace("(local $v-i32 i32)", ""));
    write!(helper, "{})", expression(&mut dice, "i64", 4)).unwrap();
    let mut body = String::from("(local.set $v-i32 (i32.load (local.get $at)))");
    for statement in 0..dice.roll(8) + 2 {
        let ty = dice.pick(&types);
        let value = expression(&mut dice, ty, 5);
        match dice.roll(5) {
            0 => {
                let rounds = dice.roll(50) + 1;
                write!(
                    body,
                    "(local.set $n (i32.const {rounds})) (loop $l{statement} (local.set $v-{ty} {value})
                     (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l{statement} (local.get $n)))"
                )
            }
            1 => write!(body, "(local.set $v-i64 (call $helper {}))", expression(&mut dice, "i32", 3)),
            2 => write!(body, "({ty}.store (i32.const {}) {value})", 0x8000 + dice.roll(0x1000)),
            _ => write!(body, "(local.set $v-{ty} {value})"),
        }
        .unwrap();
    }
    if dice.roll(25) == 0 {
        body.push_str("(loop $ever (br $ever))");
    }
    for (at, ty) in [(64, "i32"), (72, "i64"), (80, "f32"), (88, "f64")] {
        write!(body, "({ty}.store (i32.const {at}) (local.get $v-{ty}))").unwrap();
    }
    body.push_str("(call $ok (i32.const 64) (i32.const 32))");
    component_with(&helper, &format!("(local $n i32) {locals} {body}"))
}

#[test]
fn generated_modules_end_the_same_however_they_are_run() {
    let few = std::env::var("CRYPTLET_GENERATED_MODULES").ok().and_then(|text| text.parse().ok()).unwrap_or(FEW);
    let (pooled, machines) = (provider(1), vm_provider(1));
    let (fresh, plain) =
        (InsecureInProcess::insecure_new().unwrap(), InsecureInProcess::insecure_unoptimised().unwrap());
    let workers = pooled.worker_ids();
    let (mut ended, mut trapped) = (0u64, 0u64);
    for number in 0..few {
        let component = module(number);
        let of = |provider: &dyn IsolationProvider, again: bool| {
            let container = start(provider, component.clone());
            let input = number.to_le_bytes();
            let answer = call(&container, &input);
            if again {
                let second = call(&container, &input);
                assert_eq!(
                    (&second.output, second.result.units),
                    (&answer.output, answer.result.units),
                    "module {number}, again"
                );
            }
            (answer.output, answer.result.units, answer.result.status)
        };
        let first = of(&pooled, true);
        assert_eq!(first, of(&fresh, false), "module {number}: pooled and fresh");
        assert_eq!(first, of(&plain, false), "module {number}: optimised and not");
        if let Some(machines) = &machines {
            assert_eq!(first, of(machines, true), "module {number}: in a process and in a virtual machine");
        }
        if first.2 == ResultStatus::Ok as u8 { ended += 1 } else { trapped += 1 }
    }
    assert_eq!(pooled.worker_ids(), workers, "no worker died");
    println!("{ended} modules ended well, {trapped} were stopped");
    assert!(ended > 0 && (few < FEW || trapped > 0), "the generator makes both kinds: {ended} and {trapped}");
}
