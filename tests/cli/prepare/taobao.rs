//! Alimama's display advertisements on Taobao.

use super::{Rows, mixed, prepare, trains};
use crate::place::Place;

const LAST_DAY: u64 = 1_494_604_800;

fn taobao(place: &Place) {
    // The published header has a blank at its end.
    let mut users = "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,new_user_class_level \n".to_owned();
    users.extend(
        (1..=30u64).map(|user| {
            format!("{user},{},5,{},3,,2,0,{}\n", user % 9, 1 + user % 2, ["", "1", "2"][user as usize % 3])
        }),
    );
    let mut ads = "adgroup_id,cate_id,campaign_id,customer,brand,price\n".to_owned();
    ads.extend((1..=12u64).map(|ad| {
        format!("{ad},{},{},{},{},{}.5\n", ad % 4, ad % 6, ad % 3, ["NULL", "70", "71"][ad as usize % 3], 10 * ad)
    }));
    let mut samples = "user,time_stamp,adgroup_id,pid,nonclk,clk\n".to_owned();
    for row in 0..600u64 {
        let (user, click) = (1 + row % 33, u8::from(mixed(row, 4) == 0));
        let time = LAST_DAY - 86_400 * 6 + mixed(row, 7 * 86_400);
        samples.push_str(&format!(
            "{user},{time},{},{},{},{click}\n",
            1 + row % 13,
            ["430548_1007", "430539_1007"][row as usize % 2],
            1 - click
        ));
    }
    place.write("raw/user_profile.csv", users);
    place.write("raw/ad_feature.csv", ads);
    place.write("raw/raw_sample.csv", samples);
}

#[test]
fn taobao_impressions_are_joined_with_profiles_ads_and_behaviours() {
    let place = Place::empty();
    taobao(&place);
    let shown = prepare(&place, "taobao").succeeds();
    // Users 31 to 33 have no profile: of 600 rows, 18 each.
    for said in
        ["left out  54 impressions of users without a profile", "behavior_log.csv is not there", "written   546 rows"]
    {
        assert!(shown.err.contains(said), "{said}: {}", shown.err);
    }
    let plain = Rows::read(&place, "out/data.parquet");
    assert_eq!(plain.counts("scenario").into_keys().collect::<Vec<_>>(), ["1", "2", "unknown"]);
    assert_eq!(
        plain.row(
            0,
            &["user_id", "cms_segid", "gender", "consumption_level", "ad_id", "category", "brand", "price", "place"]
        ),
        ["1", "1", "2", "-", "1", "1", "70", "10.5", "430548_1007"]
    );
    // Ad 13 is not in the file of ads.
    let unknown = plain.column("ad_id").iter().position(|ad| ad == "13").unwrap();
    assert_eq!(plain.row(unknown, &["category", "advertiser", "brand", "price"]), ["-"; 4]);
    for (time, split) in plain.column("timestamp").iter().zip(plain.column("split")) {
        assert_eq!(time.parse::<u64>().unwrap() >= LAST_DAY, split == "test");
    }
    trains(&place, &["1", "2", "unknown"]);

    let mut log = "user,time_stamp,btag,cate,brand\n".to_owned();
    let behaviors: Vec<[u64; 4]> = (0..900)
        .map(|row| [1 + mixed(row, 32), LAST_DAY - 86_400 * 8 + mixed(row + 1, 8 * 86_400), row % 4, 70 + row % 3])
        .collect();
    // A behaviour without a brand has a place in both histories.
    let brand = |brand: u64| if brand == 72 { "NULL".to_owned() } else { brand.to_string() };
    log.extend(
        behaviors.iter().map(|[user, time, category, own]| format!("{user},{time},pv,{category},{}\n", brand(*own))),
    );
    log.push_str("1,-5000,buy,1,70\n");
    place.write("raw/behavior_log.csv", log);
    let shown = prepare(&place, "taobao").succeeds();
    assert!(shown.err.contains("left out  1 behaviours at impossible times"), "{}", shown.err);
    let rows = Rows::read(&place, "out/data.parquet");
    for name in plain.0.keys() {
        assert_eq!(rows.column(name), plain.column(name));
    }
    for row in 0..546 {
        let cell = |name: &str| rows.column(name)[row].parse::<u64>().unwrap();
        let (user, time) = (cell("user_id"), cell("timestamp"));
        let mut before: Vec<_> =
            behaviors.iter().filter(|behavior| behavior[0] == user && behavior[1] < time).collect();
        before.sort_by_key(|behavior| behavior[1]);
        let last = &before[before.len().saturating_sub(15)..];
        let of = |place: usize| last.iter().map(|behavior| behavior[place].to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(rows.row(row, &["category_history", "brand_history"]), [of(2), of(3).replace("72", "unknown")]);
    }
    assert!(place.text("out/config.toml").contains("category_history"));
    trains(&place, &["1", "2", "unknown"]);
    // Temporary files are gone.
    let mut names: Vec<_> =
        std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.toml", "data.parquet"]);
}

#[test]
fn taobao_names_the_line_that_is_wrong_and_keeps_what_was_there() {
    let place = Place::empty();
    taobao(&place);
    prepare(&place, "taobao").succeeds();
    let data = place.read("out/data.parquet");
    let samples = place.text("raw/raw_sample.csv");
    let wrong = |line: &str, says: &[&str]| {
        place.write("raw/raw_sample.csv", format!("{samples}{line}\n"));
        prepare(&place, "taobao").fails(3, &[&["raw_sample.csv, line 602"], says].concat());
        assert!(place.read("out/data.parquet") == data);
    };
    wrong("1,2", &["expected 6 cells, found 2"]);
    wrong("x,1494000000,1,p,0,1", &["column \"user\"", "a whole number below 2^32"]);
    wrong("1,-7,1,p,0,1", &["column \"time_stamp\"", "seconds since 1970", "\"-7\""]);
    wrong("1,1494000000,1,,0,1", &["column \"pid\"", "expected a value"]);
    wrong("1,1494000000,1,p,0,yes", &["column \"clk\"", "expected 0 or 1"]);
    let mut bytes = samples.clone().into_bytes();
    bytes.extend(b"\xff\xfe,1\n");
    place.write("raw/raw_sample.csv", bytes);
    prepare(&place, "taobao").fails(3, &["raw_sample.csv, line 602", "text in UTF-8"]);
    place.write("raw/raw_sample.csv", &samples);
    place.write("raw/ad_feature.csv", "adgroup_id,cate_id,campaign_id,customer,brand,price\n1,2,3,4,5,dear\n");
    prepare(&place, "taobao").fails(3, &["ad_feature.csv, line 2, column \"price\"", "a price", "\"dear\""]);
}
