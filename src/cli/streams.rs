//! `tickwire streams`: what a server feeds.

use super::run;
use crate::client::Endpoint;
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::Deserialize;
use std::io::{IsTerminal as _, stdout};

/// Where the list is.
const TARGET: &str = "/tickwire/streams";

#[derive(Debug, Args)]
pub(super) struct StreamsArguments {
    /// The server, such as ws://127.0.0.1:9001
    #[arg(value_name = "URL")]
    url: Endpoint,

    /// Print the server's answer, one JSON object, instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct List {
    streams: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    stream: String,
    events: u64,
}

impl StreamsArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let answer = answer(&self.url, "name them yourself")?;
        if self.json {
            run::announce(&format!("{}\n", answer.trim_end()));
            return Ok(());
        }
        let list = parse(&self.url, &answer)?;
        run::announce(&table(&list, stdout().is_terminal()));
        Ok(())
    }
}

/// The names of all streams that a server lists; `or` is what to do where there are none.
pub(super) fn all(endpoint: &Endpoint, or: &str) -> anyhow::Result<Vec<String>> {
    let list = parse(endpoint, &answer(endpoint, or)?)?;
    ensure!(!list.streams.is_empty(), "{endpoint} has no streams yet; {or}");
    Ok(list.streams.into_iter().map(|listed| listed.stream).collect())
}

fn answer(endpoint: &Endpoint, or: &str) -> anyhow::Result<String> {
    let answer = endpoint.get(TARGET)?;
    match answer.status {
        200 => Ok(answer.content),
        404 => bail!(
            "{endpoint} has no list of its streams (HTTP 404 for {TARGET}), as servers other than \
             tickwire; {or}"
        ),
        status => bail!("{endpoint} answers HTTP {status} for {TARGET}; {or}"),
    }
}

fn parse(endpoint: &Endpoint, answer: &str) -> anyhow::Result<List> {
    serde_json::from_str(answer)
        .with_context(|| format!("what {endpoint} answers for {TARGET} is no list of streams"))
}

/// Lines for a person, or for another program: then without a heading, and with a tab between.
fn table(list: &List, is_for_a_person: bool) -> String {
    // Names come from the server: nothing in them is to reach the terminal but text.
    let names = list.streams.iter().map(|listed| listed.stream.escape_debug().to_string());
    let rows: Vec<(String, u64)> = names.zip(list.streams.iter().map(|it| it.events)).collect();
    if !is_for_a_person {
        return rows.iter().map(|(name, events)| format!("{name}\t{events}\n")).collect();
    }
    let wide = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:wide$}  {:>12}\n", "stream", "events");
    for (name, events) in rows {
        text.push_str(&format!("{name:wide$}  {events:>12}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_for_people_and_columns_for_programs() {
        let listed = |stream: &str, events| Listed { stream: stream.to_owned(), events };
        let list = List { streams: vec![listed("btcusdt@trade", 12), listed("\u{1b}[2J", 0)] };
        assert_eq!(table(&list, false), "btcusdt@trade\t12\n\\u{1b}[2J\t0\n");
        assert_eq!(
            table(&list, true),
            "stream               events\nbtcusdt@trade            12\n\\u{1b}[2J                 0\n"
        );
    }
}
