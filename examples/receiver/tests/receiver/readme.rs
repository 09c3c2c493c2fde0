//! The README's table of stores.

/// The table's lines.
fn table(readme: &str) -> Vec<&str> {
    let from = readme.find("| store | survives a restart |");
    let (_, table) = readme.split_at(from.expect("the table"));
    table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect()
}

#[test]
fn the_table_of_stores_is_that_of_the_companion() {
    let table_of_stores = table(include_str!("../../../../README.md"));
    assert_eq!(table_of_stores.len(), 7, "{table_of_stores:?}");
    let companion = table(include_str!("../../../../sqlx/README.md"));
    assert_eq!(table_of_stores, companion);
}
