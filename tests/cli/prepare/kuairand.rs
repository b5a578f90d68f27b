//! KuaiRand.

use super::{Rows, mixed, prepare, refuses, trains};
use crate::place::Place;

const LOG: &str = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
    play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n";
const VIDEOS: &str = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,\
    server_height,music_id,music_type,tag\n";

/// Impressions of days, which are numbered from 8 April.
fn log(days: std::ops::Range<u64>) -> String {
    let mut text = LOG.to_owned();
    for row in days.start * 20..days.end * 20 {
        let day = row / 20;
        let date = if day < 23 { 20_220_408 + day } else { 20_220_501 + day - 23 };
        let [click, like, view] = [2, 7, 3].map(|bound| u8::from(mixed(row, bound) == 0));
        text.push_str(&format!(
            "{},{},{date},{}00,{},{click},{like},0,0,0,0,{view},{},{},0,0,0,0,{}\n",
            row % 17,
            mixed(row, 12),
            row % 24,
            1_649_347_200_000 + row * 4_320_000,
            mixed(row, 90_000),
            7_000 + mixed(row + 3, 200_000),
            [0, 1, 1, 4][row as usize % 4]
        ));
    }
    text
}

#[test]
fn kuairand_is_joined_split_by_days_and_trained_by_tabs() {
    let place = Place::empty();
    let mut users = "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,\
        follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,\
        register_days_range"
        .to_owned();
    users.extend((0..18).map(|feature| format!(",onehot_feat{feature}")));
    for user in 0..17 {
        let one_hot: String =
            (0..18).map(|feature| if feature == 4 { ",".to_owned() } else { format!(",{}", user % 3) }).collect();
        users.push_str(&format!("\n{user},full_active,0,0,1,5,\"(0,10]\",312,\"[100,1k)\",0,0,3624,730+{one_hot}"));
    }
    // Video 11 is not in the file; some have several tags, or none.
    let videos = (0..11u64).map(|video| {
        let tag = ["\"12,65\"", "8", ""][video as usize % 3];
        format!(
            "{video},{},NORMAL,2022-04-0{},LongImport,0.0,87433.0,720.0,1280.0,91556971{video},9.0,{tag}\n",
            video % 5,
            1 + video % 8
        )
    });
    place.write("raw/data/user_features_1k.csv", users);
    place.write("raw/data/video_features_basic_1k.csv", format!("{VIDEOS}{}", videos.collect::<String>()));
    place.write("raw/data/log_standard_4_08_to_4_21_1k.csv", log(0..14));
    refuses(
        &place,
        "kuairand",
        &["log_standard_4_22_to_5_08_1k.csv: missing", "user_features_1k.csv: found", "zenodo.org"],
    );
    place.write("raw/data/log_standard_4_22_to_5_08_1k.csv", log(14..31));
    let shown = prepare(&place, "kuairand").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    let unknown = rows.column("video_id").iter().filter(|video| *video == "11").count();
    assert!(unknown > 0);
    let note = format!("the videos of {unknown} rows are not in the file of videos");
    assert!(shown.err.contains(&note) && !shown.err.contains("the users of"), "{}", shown.err);
    assert_eq!(rows.counts("split"), [("test", 60), ("train", 500), ("valid", 60)].into());
    assert_eq!(
        [&rows.column("split")[499], &rows.column("split")[500], &rows.column("split")[560]],
        ["train", "valid", "test"]
    );

    let lines: Vec<String> = [log(0..14), log(14..31)]
        .iter()
        .flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let names: Vec<&str> = LOG.trim_end().split(',').collect();
    for (row, line) in lines.iter().enumerate() {
        let cell = |name: &str| line.split(',').nth(names.iter().position(|n| *n == name).unwrap()).unwrap();
        for name in ["user_id", "video_id", "tab", "long_view", "is_like", "play_time_ms", "duration_ms", "time_ms"] {
            assert_eq!(rows.column(name)[row], cell(name));
        }
        assert_eq!(rows.column("label")[row], cell("is_click"));
        assert_eq!(rows.column("hour")[row], (row % 24).to_string());
        let user = (row % 17 % 3).to_string();
        let of_user = ["follow_user_num_range", "fans_user_num_range", "onehot_feat3", "onehot_feat4", "onehot_feat17"];
        assert_eq!(rows.row(row, &of_user), ["(0,10]", "[100,1k)", &user, "-", &user]);
        let video: usize = cell("video_id").parse().unwrap();
        let expected = match video {
            11 => ["-".to_owned(), "-".to_owned(), "-".to_owned(), String::new()],
            _ => {
                let (first, tags) = [("12", "12 65"), ("8", "8"), ("-", "")][video % 3];
                [(video % 5).to_string(), "9.0".to_owned(), first.to_owned(), tags.to_owned()]
            }
        };
        assert_eq!(rows.row(row, &["author_id", "music_type", "tag", "tags"]), expected);
    }
    trains(&place, &["0", "1", "4"]);

    std::fs::remove_dir_all(place.path("out")).unwrap();
    let good = log(14..31);
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/data/log_standard_4_22_to_5_08_1k.csv", format!("{good}{line}\n"));
        let file = ["log_standard_4_22_to_5_08_1k.csv, line 342", "https://kuairand.com"];
        refuses(&place, "kuairand", &[&file[..], says].concat());
    };
    wrong(
        "1,2,20220431,0,0,1,0,0,0,0,0,0,1,1,0,0,0,0,1",
        &["column \"date\"", "a date from 20220408 to 20220508", "\"20220431\""],
    );
    wrong("1,2,20220501,2400,0,1,0,0,0,0,0,0,1,1,0,0,0,0,1", &["column \"hourmin\"", "a time as HHMM", "\"2400\""]);
    wrong("1,2,20220501,0,0,1,0,0,0,0,0,0,1,1,0,0,0,0,", &["column \"tab\"", "expected a value"]);
    wrong("1,2,20220501,0,0,1", &["expected 19 cells, found 6"]);
    place.write("raw/data/log_standard_4_22_to_5_08_1k.csv", log(14..27));
    refuses(&place, "kuairand", &["of all rows none is for test", "cut off", "https://kuairand.com"]);
}
