//! Small shaders whose results, traffic, races and faults are known.

use super::{Buffers, Fault, FaultKind, Machine, Options, Trace};

fn module(text: &str) -> naga::Module {
    naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)))
}

/// Runs `groups` workgroups in a row with `out`, `words` zeros, at binding 0, and `input` at binding 1.
fn run(text: &str, words: usize, input: &[u32], groups: u32, options: &Options) -> (Result<Trace, Fault>, Vec<u32>) {
    let mut buffers = Buffers::new();
    buffers.set(0, 0, vec![0; words]);
    buffers.set(0, 1, input.to_vec());
    let ids: Vec<_> = (0..groups).map(|x| [x, 0, 0]).collect();
    let trace = Machine::new(&module(text)).and_then(|m| m.run(&mut buffers, &ids, [groups, 1, 1], options));
    (trace, buffers.take(0, 0))
}

const OUT: &str = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;\n";
const MAIN: &str = "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) l: u32, \
                    @builtin(global_invocation_id) id: vec3<u32>) {\n";

fn traced(body: &str, words: usize, groups: u32) -> (Trace, Vec<u32>) {
    let (trace, out) = run(body, words, &[], groups, &Options::default());
    (trace.unwrap(), out)
}

/// The result of a run of 64 invocations that each write one word, without races.
fn words(globals: &str, body: &str) -> Vec<u32> {
    let (trace, out) = traced(&format!("{OUT}{globals}{MAIN}{body}}}"), 64, 1);
    assert!(trace.races.is_empty(), "{:?}", trace.races);
    out
}

fn fault(globals: &str, body: &str) -> FaultKind {
    run(&format!("{OUT}{globals}{MAIN}{body}}}"), 64, &[], 1, &Options::default()).0.unwrap_err().kind
}

#[test]
fn coalesced_and_strided() {
    let text = |index: &str| {
        format!("{OUT}@group(0) @binding(1) var<storage, read> x: array<u32>; {MAIN} out[l] = x[{index}]; }}")
    };
    let input: Vec<u32> = (0..4096).collect();
    for (index, lines, used) in
        [("l", 2, 256), ("l * 8u", 16, 256), ("63u - l", 2, 256), ("7u", 2, 8), ("l / 2u + 8u", 3, 128)]
    {
        let (trace, out) = run(&text(index), 64, &input, 1, &Options::default());
        let traffic = trace.unwrap().traffic("x", false);
        assert_eq!((traffic.executions, traffic.asked, traffic.lines, traffic.used), (2, 256, lines, used), "{index}");
        assert_eq!(traffic.efficiency(), used as f64 / (128 * lines) as f64);
        assert!(index != "l * 8u" || out[63] == 504);
    }
}

#[test]
fn vectors_are_contiguous() {
    let text = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>; {MAIN} out[l] = vec4(f32(l)); }}"
    );
    let (trace, out) = traced(&text, 256, 1);
    let traffic = trace.traffic("out", true);
    assert_eq!((traffic.executions, traffic.lines, traffic.used), (2, 8, 1024));
    assert_eq!(f32::from_bits(out[255]), 63.0);
    assert_eq!(trace.utilisation(), 1.0);
}

#[test]
fn bank_conflicts() {
    let shared = |ty: &str, index: &str, value: &str| {
        let text = format!("var<workgroup> s: array<{ty}, 2048>; {MAIN} s[{index}] = {value}; }}");
        let traffic = traced(&text, 0, 1).0.traffic("s", true);
        (traffic.cycles, traffic.ideal_cycles)
    };
    assert_eq!(shared("u32", "l", "1u"), (2, 2));
    assert_eq!(shared("u32", "l * 2u", "1u"), (4, 2));
    assert_eq!(shared("u32", "l * 32u", "1u"), (64, 2));
    assert_eq!(shared("u32", "l * 33u % 2048u", "1u"), (2, 2));
    assert_eq!(shared("vec4<f32>", "l", "vec4<f32>()"), (8, 8));
    assert_eq!(shared("vec4<f32>", "l * 2u", "vec4<f32>()"), (16, 8));
}

const REVERSED: &str = "var<workgroup> s: array<u32, 64>;\n";

#[test]
fn barriers_order_a_workgroup() {
    assert_eq!(words(REVERSED, "s[l] = l; workgroupBarrier(); out[l] = s[63u - l];")[0], 63);
    let (trace, _) = traced(&format!("{OUT}{REVERSED}{MAIN} s[l] = l; out[l] = s[63u - l]; }}"), 64, 1);
    let race = &trace.races[0];
    assert_eq!((trace.races.len(), race.variable.as_str(), race.word, race.count), (1, "s", 63, 64));
    assert!(race.first.write && !race.second.write && race.first.lane == 63 && race.second.lane == 0);
    // A barrier for the other address space orders nothing, and reads before writes race as well.
    let text = format!(
        "{OUT}{REVERSED}{MAIN} s[l] = l; storageBarrier(); let x = s[l ^ 1u]; workgroupBarrier(); out[l] = x; }}"
    );
    assert_eq!(traced(&text, 64, 1).0.races.len(), 1);
    let text = format!("{OUT}{MAIN} let x = out[l ^ 1u]; workgroupBarrier(); out[l] = x; }}");
    assert_eq!(traced(&text, 64, 1).0.races.len(), 1);
    assert!(words("", "let x = out[l ^ 1u]; storageBarrier(); out[l] = x;").iter().all(|&x| x == 0));
    let (trace, _) = traced(&format!("{OUT}{MAIN} out[0] = 1u; }}"), 64, 1);
    assert_eq!(trace.races[0].count, 63);
}

#[test]
fn workgroups_race() {
    assert!(traced(&format!("{OUT}{MAIN} out[id.x] = 1u; }}"), 256, 4).0.races.is_empty());
    for body in [
        "out[l] = 1u;",
        "if (id.x < 64u) { out[l] = 1u; } else { out[id.x] = out[l]; }",
        "if (id.x < 64u) { out[64u + l] = out[192u + l]; } else if (id.x >= 192u) { out[id.x] = l; }",
    ] {
        let race = &traced(&format!("{OUT}{MAIN} {body} }}"), 256, 4).0.races[0];
        assert_ne!(race.first.group, race.second.group, "{body}");
    }
    // The reader's epochs and another reader in between.
    let text = format!(
        "{OUT}{MAIN} let x = out[0]; storageBarrier(); let y = out[0]; \
                        if (id.x == 191u) {{ storage_write(x + y); }} }} fn storage_write(x: u32) {{ out[0] = x; }}"
    );
    let race = &traced(&text, 64, 3).0.races;
    assert_eq!((race[0].first.group, race[0].second.group), ([2, 0, 0], [2, 0, 0]));
    let text = format!(
        "{OUT}{MAIN} if (id.x == 0u || id.x == 64u) {{ let x = out[0]; out[1u + id.x] = x; }} \
                        if (id.x == 128u) {{ out[0] = 1u; }} }}"
    );
    assert_eq!(traced(&text, 128, 3).0.races[0].first.group, [1, 0, 0]);
}

#[test]
fn lanes_of_a_subgroup_see_each_others_values() {
    let options = |subgroup| Options { subgroup, ..Options::default() };
    let text = format!("{OUT}{MAIN} out[id.x] = subgroupShuffleXor(id.x, 3u); }}");
    for subgroup in [4, 32] {
        let found = run(&text, 64, &[], 1, &options(subgroup)).1;
        assert_eq!(found, (0..64).map(|lane| lane ^ 3).collect::<Vec<u32>>(), "{subgroup}");
    }
    // Beyond the subgroup, and from lanes that do not come by, comes what is no number.
    let nothing = f32::NAN.to_bits();
    let text = format!("{OUT}{MAIN} out[id.x] = subgroupShuffleDown(id.x, 2u); }}");
    let found = run(&text, 64, &[], 1, &options(8)).1;
    assert_eq!(found[6..11], [nothing, nothing, 10, 11, 12]);
    let text = format!("{OUT}{MAIN} if (l < 3u) {{ out[id.x] = subgroupShuffleXor(id.x, 1u); }} }}");
    let found = run(&text, 64, &[], 1, &options(8)).1;
    assert_eq!(found[..4], [1, 0, nothing, 0]);
}

#[test]
fn components_of_one_vector() {
    let text = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<vec4<u32>>; {MAIN} out[l / 4u][l % 4u] = l; }}"
    );
    let (trace, out) = traced(&text, 64, 1);
    assert_eq!(out, (0..64).collect::<Vec<_>>());
    assert!(trace.races.len() == 1 && trace.races[0].partial);
    let off = Options { partial_vectors: false, ..Options::default() };
    assert!(run(&text, 64, &[], 1, &off).0.unwrap().races.is_empty());
    let alone = text.replace("l / 4u", "l");
    assert!(traced(&alone, 256, 1).0.races.is_empty());
}

#[test]
fn divergent_loops() {
    let out = words(
        "",
        "var sum = 0u; for (var i = 0u; i < l; i += 1u) { if (i % 3u == 2u) { continue; } \
                         if (i > 40u) { break; } sum += i; } out[l] = sum;",
    );
    let expected = |l: u32| (0..l.min(41)).filter(|i| i % 3 != 2).sum::<u32>();
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
    let out = words(
        "",
        "var n = 0u; loop { n += 1u; var fresh: u32; fresh += n; if (fresh > 9u) { n += 100u; } \
                         continuing { n += 0u; break if n >= l; } } out[l] = n;",
    );
    assert_eq!((out[0], out[7], out[9], out[63]), (1, 7, 9, 110));
    let (trace, _) = traced(&format!("{OUT}{MAIN} if (l % 2u == 0u) {{ out[l] = 1u; }} }}"), 64, 1);
    assert!(trace.utilisation() < 1.0 && trace.max_active == 64);
    assert_eq!(trace.traffic("out", true).used, 128);
}

#[test]
fn early_return() {
    let globals = "fn f(l: u32) -> u32 { for (var i = 0u; ; i += 1u) { if (i * i >= l) { return i; } if (i == 5u) { break; } } return 77u; }\n";
    let out = words(globals, "if (l == 3u) { return; } out[l] = f(l) + f(l / 2u);");
    let f = |l: u32| (0..6).find(|i| i * i >= l).unwrap_or(77);
    assert_eq!(out, (0..64).map(|l| if l == 3 { 0 } else { f(l) + f(l / 2) }).collect::<Vec<_>>());
}

#[test]
fn layouts() {
    let globals = "struct Inner { a: vec3<f32>, b: f32, c: mat2x3<f32> }\n\
                   struct Outer { n: u32, inner: array<Inner, 2>, tail: array<vec2<u32>> }\n\
                   @group(0) @binding(1) var<storage, read> x: Outer;\n";
    let text = format!(
        "{OUT}{globals}{MAIN} let i = x.inner[l % 2u]; let whole = x.inner; let local = whole[1].c[1].y; \
         out[l] = u32(i.a.z + i.b + i.c[1].x) + u32(local) + x.tail[l].y + arrayLength(&x.tail); }}"
    );
    // n at 0, inner[i] at 4 + 12 i: a at 0, b at 3, columns at 4 and 8; the tail at 28.
    let mut input: Vec<u32> = (0..28).map(|i| (i as f32).to_bits()).collect();
    input.extend((0..128).map(|i| 1000 * i));
    let (trace, out) = run(&text, 64, &input, 1, &Options::default());
    let expected = |l: u32| {
        let i = 4 + 12 * (l % 2);
        (i + 2) + (i + 3) + (i + 8) + (16 + 8 + 1) + 1000 * (2 * l + 1) + 64
    };
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
    assert_eq!(trace.unwrap().accesses.iter().filter(|a| a.variable == "x").count(), 3);
}

#[test]
fn workgroup_structs_with_booleans() {
    let globals = "struct S { yes: bool, v: vec3<u32>, no: array<bool, 3> }\nvar<workgroup> s: array<S, 64>;\n";
    let out = words(
        globals,
        "s[l].yes = l > 7u; s[l].v = vec3(l); s[l].no = array(true, false, l == 0u); \
                              workgroupBarrier(); let t = s[63u - l]; out[l] = select(0u, 1u, t.yes) + 2u * t.v.z + select(0u, 500u, t.no[2]);",
    );
    assert_eq!((out[0], out[63]), (127, 500));
}

#[test]
fn matrices() {
    let out = words(
        "",
        "let m = mat3x2<f32>(1.0, 2.0, 3.0, 4.0, 5.0, f32(l)); let v = m * vec3(1.0, 10.0, 100.0); \
                         let t = vec2(1.0, 10.0) * m; let s = transpose(m) * (2.0 * v); let p = m * transpose(m); \
                         out[l] = u32(v.x + v.y + t.z + s.y + p[1].y);",
    );
    let expected = |l: u32| 531 + (42 + 100 * l) + (5 + 10 * l) + 2 * (3 * 531 + 4 * (42 + 100 * l)) + (4 + 16 + l * l);
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn pointers_to_variables() {
    let globals = "var<private> total: u32 = 5u; var<workgroup> shared_sums: array<u32, 64>;\n\
                   fn put(a: ptr<function, array<vec2<u32>, 4>>, i: u32) { (*a)[i].y += i + 1u; (*a)[i][0] = 7u; total += 1u; }\n\
                   fn twice(x: ptr<function, u32>) -> u32 { *x *= 2u; return *x + 1u; }\n\
                   fn at(x: ptr<workgroup, array<u32, 64>>, i: u32) -> u32 { return (*x)[i]; }\n";
    let out = words(
        globals,
        "var a: array<vec2<u32>, 4>; put(&a, l % 4u); put(&a, 3u); var x = l; let y = twice(&x); \
                              shared_sums[l] = x; workgroupBarrier(); \
                              out[l] = a[3].y * 1000u + a[l % 4u].x + x + y + total + at(&shared_sums, l ^ 1u);",
    );
    let expected = |l: u32| if l % 4 == 3 { 8000 } else { 4000 } + 7 + 4 * l + 1 + 7 + 2 * (l ^ 1);
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn dynamic_components() {
    let out = words(
        "",
        "var v = vec4<u32>(1u, 2u, 3u, 4u); v[l % 4u] = l; var m = mat2x2<f32>(); m[l % 2u][1] = 3.0; \
                         let w = v.wzyx; let c = array<u32, 3>(5u, 6u, l); out[l] = w[l % 4u] + v.x * 100u + u32(m[1].y) + c[l % 3u];",
    );
    let expected = |l: u32| {
        let mut v = [1, 2, 3, 4];
        v[l as usize % 4] = l;
        v[3 - l as usize % 4] + v[0] * 100 + 3 * (l % 2) + [5, 6, l][l as usize % 3]
    };
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn switches() {
    let out = words(
        "",
        "var x = 0u; for (var i = 0u; i < 3u; i += 1u) { switch (l + i) { case 0u: { x += 1u; } \
                         case 1u, 2u: { if (i == 1u) { continue; } x += 10u; if (l == 1u) { break; } x += 100u; } \
                         default: { x += 1000u; } } x += 10000u; } out[l] = x;",
    );
    let expected = |l: u32| {
        let mut x = 0;
        for i in 0..3 {
            x += match l + i {
                0 => 1,
                1 | 2 if i == 1 => continue,
                1 | 2 => 10 + if l == 1 { 0 } else { 100 },
                _ => 1000,
            } + 10000;
        }
        x
    };
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn arithmetic() {
    let out = words(
        "const K = 3.0; const A = array<f32, 2>(K, 0.5);\n",
        "let z = l - l; let n = i32(z) - 7; let f = f32(l) / 4.0; \
         let a = 5u / z + 5u % z + (z - 1u) / 0x40000000u; let b = u32(-(n / 2)) + u32(-(n % 4)) + u32(-(n >> 1u)); \
         let c = u32(round(f) + fract(f) * 4.0 + clamp(f, 2.0, A[l % 2u]) + sign(-f) + floor(-f)) + u32(all(vec2(f) > vec2(1.0, 2.0))); \
         let d = countOneBits(l) + u32(f32(n)) + bitcast<u32>(1.0) / 0x3f800000u + u32(any(vec2(l) == vec2(4u, 9u))) + (1u << (l & 31u)); \
         out[l] = a + b + c + d;",
    );
    let expected = |l: u32| {
        let f = l as f32 / 4.0;
        let limit = [3.0f32, 0.5][l as usize % 2];
        let sign = if l == 0 { 0.0 } else { -1.0 };
        let c = (f.round_ties_even() + f.fract() * 4.0 + f.max(2.0).min(limit) + sign + (-f).floor()) as u32;
        5 + 3
            + (3 + 3 + 4)
            + c
            + u32::from(f > 2.0)
            + l.count_ones()
            + 1
            + u32::from(l == 4 || l == 9)
            + (1 << (l & 31))
    };
    assert_eq!(out, (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn uniforms_and_aliases() {
    let text = format!(
        "struct U {{ a: f32, b: vec2<u32> }} @group(1) @binding(0) var<uniform> u: U;\n{OUT}\
                        @group(0) @binding(1) var<storage, read> same: array<u32>;\n{MAIN} out[l] = u.b.y; let x = same[l ^ 1u]; out[l + 64u] = x; }}"
    );
    let mut buffers = Buffers::new();
    buffers.set(0, 0, vec![0; 128]);
    assert!(buffers.alias(0, 1, (0, 0)) && !buffers.alias(0, 1, (5, 0)));
    buffers.set(1, 0, vec![1, 2, 3, 4]);
    let trace =
        Machine::new(&module(&text)).unwrap().run(&mut buffers, &[[0; 3]], [1; 3], &Options::default()).unwrap();
    assert_eq!(buffers.take(0, 0)[64], 4);
    assert_eq!((trace.races.len(), trace.races[0].variable.as_str()), (1, "same"));
}

#[test]
fn faults() {
    let oob = |word, words| FaultKind::OutOfBounds { variable: "out".to_owned(), word, words };
    assert_eq!(fault("", "out[l + 1u] = 1u;"), oob(64, 64));
    assert_eq!(fault("", "out[l - 1u] = 1u;"), oob(u32::MAX, 64));
    assert_eq!(fault("", "var a: array<u32, 8>; a[l] = 1u;"), FaultKind::Index { index: 8, length: 8 });
    assert_eq!(
        fault("", "if (l < 8u) { workgroupBarrier(); }"),
        FaultKind::DivergentBarrier { active: 8, invocations: 64 }
    );
    assert_eq!(
        fault(REVERSED, "s[l / 2u * 2u] = 1u; workgroupBarrier(); out[l] = s[l];"),
        FaultKind::Uninitialised { variable: "s".to_owned(), word: 1 }
    );
    let atomics = "@group(0) @binding(1) var<storage, read_write> a: atomic<u32>;\n";
    assert!(matches!(fault(atomics, "atomicAdd(&a, 1u);"), FaultKind::Unsupported(_)));
    let unbound = "@group(2) @binding(0) var<storage, read> a: array<u32>;\n";
    assert_eq!(
        fault(unbound, "out[l] = a[l];"),
        FaultKind::OutOfBounds { variable: "a".to_owned(), word: 0, words: 0 }
    );
    let limited = Options { limit: 1000, ..Options::default() };
    let (result, _) =
        run(&format!("{OUT}{MAIN} loop {{ out[l] += 1u; if (out[l] == 0u) {{ break; }} }} }}"), 64, &[], 1, &limited);
    assert_eq!(result.unwrap_err().kind, FaultKind::Limit);
    let (result, _) = run(&format!("{OUT}{MAIN} out[id.x] = l; }}"), 100, &[], 2, &Options::default());
    let fault = result.unwrap_err();
    assert_eq!((fault.group, fault.lane, fault.function.as_str()), ([1, 0, 0], Some(36), "main"));
    assert!(fault.to_string().contains("word 100 of out"));
}

#[test]
fn uniform_load_is_a_barrier() {
    let globals = "var<workgroup> one: u32;\n";
    let out = words(
        globals,
        "if (l == 5u) { one = 9u; } let x = workgroupUniformLoad(&one); if (l == 6u) { one = x; } out[l] = x;",
    );
    assert_eq!(out, [9; 64]);
}
