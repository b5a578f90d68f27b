//! IJCAI-18's clicks (IAAC).

use super::{Rows, mixed, prepare, refuses, trains};
use crate::place::Place;

const IAAC: &str = "instance_id item_id item_category_list item_property_list item_brand_id item_city_id item_price_level \
    item_sales_level item_collected_level item_pv_level user_id user_gender_id user_age_level user_occupation_id \
    user_star_level context_id context_timestamp context_page_id predict_category_property shop_id \
    shop_review_num_level shop_review_positive_rate shop_star_level shop_score_service shop_score_delivery \
    shop_score_description is_trade";

/// A click of IAAC, on a day from 0 of a month in China.
fn iaac_row(row: u64, day: u64, category: &str) -> String {
    // 18 September 2018, midnight in China.
    let time = 1_537_200_000 + 86_400 * day + mixed(row, 86_400);
    let trade = u8::from(mixed(row, 4) == 0);
    format!(
        "{row} {} 790;{category};{} 1;2;3 {} {} 3 4 -1 5 {} 0 1003 2005 3001 77 {time} 400{} 790:-1;{category}:5,6 {} 7 0.99 5012 -1 0.97 0.98 {trade}\n",
        row % 20,
        row % 3,
        row % 5,
        row % 4,
        row % 30,
        1 + row % 3,
        row % 6
    )
}

#[test]
fn iaac_is_split_by_days_in_china_and_by_categories() {
    let place = Place::empty();
    let mut log = format!("{IAAC}\n");
    for row in 0..600 {
        // Two of a hundred categories are frequent, one day follows the other.
        let category = if row % 97 == 5 { "333" } else { ["111", "222"][row as usize % 2] };
        log.push_str(&iaac_row(row, row / 150, category));
    }
    place.write("raw/round1_ijcai_18_train_20180301.txt", &log);
    prepare(&place, "iaac").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(rows.counts("split"), [("test", 150), ("train", 300), ("valid", 150)].into());
    // 333 has 4 of 300 train rows: a scenario. With a row less in a hundred it is not.
    assert_eq!(rows.counts("scenario").into_keys().collect::<Vec<_>>(), ["111", "222", "333"]);
    let columns =
        ["scenario", "item_category", "item_subcategory", "predicted_category", "item_pv_level", "item_sales_level"];
    assert_eq!(rows.row(1, &columns), ["222", "222", "1", "790", "5", "4"]);
    assert_eq!(rows.row(1, &["item_collected_level", "shop_score_service", "shop_score_delivery"]), ["-", "-", "0.97"]);
    for (hour, time) in rows.column("hour").iter().zip(rows.column("context_timestamp")) {
        assert_eq!(hour.parse::<i64>().unwrap(), (time.parse::<i64>().unwrap() - 1_537_200_000) % 86_400 / 3600);
    }
    trains(&place, &["111", "222", "333"]);

    // Seldom categories become one scenario.
    let mut seldom = format!("{IAAC}\n");
    for row in 0..600 {
        let category =
            if row % 150 < 2 { format!("{}", 900 + row % 5) } else { ["111", "222"][row as usize % 2].to_owned() };
        seldom.push_str(&iaac_row(row, row / 150, &category));
    }
    place.write("raw/round1_ijcai_18_train_20180301.txt", &seldom);
    prepare(&place, "iaac").succeeds();
    let rows = Rows::read(&place, "out/data.parquet");
    assert_eq!(rows.counts("scenario"), [("111", 296), ("222", 296), ("other", 8)].into());

    let place = Place::empty();
    place.write("raw/round2_train.txt", format!("{IAAC}\n{}{}", iaac_row(1, 0, "1"), iaac_row(2, 1, "1")));
    refuses(&place, "iaac", &["round2_train.txt", "rows of 2 days", "three are needed"]);
    let row = iaac_row(1, 0, "1");
    place.write("raw/round2_train.txt", format!("{IAAC}\n{}", row.replace(" 0.99 ", " much ")));
    refuses(&place, "iaac", &["three are needed"]);
    let days: String = (0..3).map(|day| iaac_row(day, day, "1")).collect();
    place.write("raw/round2_train.txt", format!("{IAAC}\n{days}{}", row.replace(" 0.99 ", " much ")));
    refuses(
        &place,
        "iaac",
        &["round2_train.txt, line 5, column \"shop_review_positive_rate\"", "a number", "\"much\""],
    );
    place.write("raw/round2_train.txt", format!("{IAAC}\n{days}{}", row.trim_end().strip_suffix(['0', '1']).unwrap()));
    refuses(&place, "iaac", &["column \"is_trade\"", "expected 0 or 1"]);
}
