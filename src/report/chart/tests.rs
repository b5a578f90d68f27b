use super::*;

fn line(points: &[(f64, f64)]) -> LineChart {
    let points: Vec<Point> = points.iter().map(|&(x, y)| Point::plain(x, y, "epoch")).collect();
    LineChart {
        about: "AUC by epoch".to_owned(),
        x: Axis::counted("epoch", 1, 3),
        y: Axis::around("AUC", points.iter().map(|point| point.y)),
        lines: vec![Line { name: "<b>&\"".to_owned(), mark: Mark::Of(0), points }],
        marked: Some((2.0, "best: epoch 2".to_owned())),
        diagonal: false,
    }
}

#[test]
fn lines_go_through_their_points_and_stop_where_there_is_none() {
    let text = line(&[(1.0, 0.5), (2.0, f64::NAN), (3.0, 0.75)]).draw().into_string();
    let paths = |letter: char| text.matches(letter).count();
    assert!(text.contains("epoch 1: 0.5") && text.contains("epoch 3: 0.75") && !text.contains("NaN"), "{text}");
    let drawn = text.split("fill=\"none\"").next().unwrap().rsplit("d=\"").next().unwrap();
    assert_eq!(drawn.matches('M').count(), 2, "{drawn}");
    assert!(!drawn.contains('L'));
    assert!(paths('M') > 5 && text.contains("best: epoch 2"));
    assert!(text.contains("&lt;b&gt;&amp;&quot;: ") && !text.contains("<b>"));
}

#[test]
fn ticks_are_round_and_within_the_axis() {
    let texts = |axis: &Axis| axis.ticks_across(1e6).map(|(_, text)| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(&Axis::between("", 0.0, 1.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    assert_eq!(texts(&Axis::between("", -0.05, 0.05)), ["-0.04", "-0.02", "0.00", "0.02", "0.04"]);
    assert_eq!(texts(&Axis::between("", 0.742, 0.7531)), ["0.742", "0.744", "0.746", "0.748", "0.750", "0.752"]);
    assert_eq!(texts(&Axis::counted("", 1, 1)), ["1"]);
    assert_eq!(texts(&Axis::counted("", 1, 40)), ["10", "20", "30", "40"]);
    assert_eq!(texts(&Axis::even("", &[1.0, 2.5, 16.0])), ["1", "2.5", "16"]);
    let axis = Axis::between("", 0.742, 0.7531);
    assert!(axis.ticks_across(1e6).all(|(value, _)| (0.0..=1.0).contains(&axis.at(value))));
}

#[test]
fn ticks_have_texts_where_there_is_room() {
    let axis = Axis::between("", 0.742, 0.7531);
    let texts = |length: f64| axis.ticks_across(length).map(|(_, text)| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(990.0), ["0.742", "0.744", "0.746", "0.748", "0.750", "0.752"]);
    assert_eq!(texts(170.0), ["0.742", "", "0.746", "", "0.750", ""]);
    assert_eq!(texts(10.0), ["0.742", "", "", "", "", ""]);
    assert_eq!(Axis::counted("", 1, 1).ticks_across(5.0).collect::<Vec<_>>(), [(1.0, "1")]);
}

#[test]
fn axes_of_one_value_or_none_have_room_around_it() {
    for values in
        [vec![], vec![0.0], vec![0.7], vec![-3.0], vec![1e12], vec![f64::NAN, f64::INFINITY], vec![1e-9, 2e-9]]
    {
        let axis = Axis::around("", values.iter().copied());
        let (low, high) = axis.ends();
        assert!(high > low && low.is_finite() && high.is_finite(), "{values:?}: {low} {high}");
        assert!(values.iter().filter(|value| value.is_finite()).all(|value| (low..=high).contains(value)));
        assert!(axis.ticks_across(1e6).count() < 20, "{values:?}");
    }
}

#[test]
fn fifty_marks_are_told_apart_and_each_shape_is_closed() {
    let shapes: std::collections::BTreeSet<(String, &str, &str)> = (0..42)
        .map(|number| {
            let mut shape = String::new();
            Mark::Of(number).shape(5.0, 5.0, 3.0, &mut shape);
            assert!(shape.starts_with('M'), "{shape}");
            (shape, Mark::Of(number).color(), "")
        })
        .collect();
    assert_eq!(shapes.len(), 42);
}

#[test]
fn heat_maps_write_numbers_into_few_squares_and_none_into_many() {
    let names = |count: usize| (0..count).map(|name| format!("s{name}")).collect::<Vec<_>>();
    let values =
        |count: usize| (0..count).map(|i| (0..count).map(|j| (i + j) as f64 / 100.0).collect()).collect::<Vec<_>>();
    let text = heat("cosines", &names(3), &values(3), true).into_string();
    assert_eq!(text.matches("<rect").count(), 9 + 20);
    // The diagonal is left out.
    assert!(text.contains(">0.03<") && !text.contains(">0.04<") && !text.contains(">0.00<"), "{text}");
    let text = heat("cosines", &names(50), &values(50), true).into_string();
    assert_eq!(text.matches("<rect").count(), 2500 + 20);
    assert!(text.contains("s49, s0: 0.49") && text.contains("rotate(-90)"));
    heat("cosines", &[], &[], true);
    heat("cosines", &names(2), &[vec![f64::NAN; 2], vec![f64::NAN; 2]], false);
}

#[test]
fn rows_name_what_they_show_and_what_they_do_not_have() {
    let row = |name: &str, shown| Row {
        name: name.to_owned(),
        note: String::new(),
        shown: vec![(Mark::Of(0), shown, "AUC".to_owned())],
    };
    let rows = vec![
        row("a name that is very much longer than the room for names is", Shown::Bar { from: 0.5, to: 0.7 }),
        row("dot", Shown::Dot { value: 0.6, spread: Some(0.1) }),
        row("box", Shown::Box([0.5, 0.55, 0.6, 0.65, 0.7])),
        row("tick", Shown::Tick(0.8)),
        row("none", Shown::Bar { from: 0.5, to: f64::NAN }),
    ];
    let axis = Axis::between("AUC", 0.4, 0.9);
    let text = RowChart { about: "AUC".to_owned(), axis, rows, wide: true, apart: false }.draw().into_string();
    assert!(text.contains("<title>a name that is very much longer than the room for names is</title>"));
    assert!(text.contains("a name that is ve…oom for names is<"), "{text}");
    assert_eq!(text.matches("n/a").count(), 1);
    assert!(!text.contains("NaN") && !text.contains("inf"));
}

#[test]
fn clouds_of_one_point_or_none_lie_within_their_panel() {
    let group = |points: Vec<[f64; 2]>| Group { name: "s".to_owned(), mark: Mark::Other, points };
    for points in [vec![], vec![[1.0, 2.0]], vec![[0.0, 0.0], [f64::NAN, 1.0]]] {
        let text = panels("t-SNE", &[Panel { title: "one".to_owned(), groups: vec![group(points)] }]).into_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

#[test]
fn numbers_are_written_for_readers() {
    let found = [0.0, 0.5, 0.123_46, 12.0, 1e-5, 2e10, f64::NAN].map(number);
    assert_eq!(found, ["0", "0.5", "0.1235", "12", "1.000e-5", "2.000e10", "n/a"]);
}
