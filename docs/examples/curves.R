#!/usr/bin/env Rscript
# Areas under the learning curves and paired differences to random, from `alab export`, without alab.
#
#     alab export results/my-study --format csv -o curves.csv        Rscript curves.R curves.csv
#     alab export results/my-study --format sqlite -o study.db       Rscript curves.R study.db
#
# Prints a row a dataset, model, setting and strategy. CSV needs R alone, SQLite r-cran-rsqlite. The numbers are those of alab's
# summary.csv (docs/statistics.md); a test compares them.

read_curves <- function(path) {
  if (grepl("[.]csv$", path)) {
    rows <- read.csv(path, colClasses = c(setting = "character"), na.strings = "")
    rows$setting[is.na(rows$setting)] <- ""
    rows$value <- rows$accuracy
    rows <- rows[!is.na(rows$end) & !is.na(rows$value), ]
  } else {
    db <- DBI::dbConnect(RSQLite::SQLite(), path)
    on.exit(DBI::dbDisconnect(db))
    rows <- DBI::dbGetQuery(db, "
      SELECT r.dataset, r.model, r.setting, r.strategy, r.replicate, labels, value
      FROM runs r JOIN rounds USING (run) JOIN metrics USING (run, round)
      WHERE metric = 'accuracy' AND value IS NOT NULL AND end IS NOT NULL ORDER BY run, round")
  }
  rows[rows$strategy != "full-data", c("dataset", "model", "setting", "strategy", "replicate", "labels", "value")]
}

# Trapezoid area over [low, high] divided by its length, linear between rounds.
area <- function(curve, low, high) {
  grid <- sort(unique(c(low, high, curve$labels[curve$labels > low & curve$labels < high])))
  y <- approx(curve$labels, curve$value, grid)$y
  sum(diff(grid) * (head(y, -1) + tail(y, -1)) / 2) / (high - low)
}

one_setting <- function(rows) {
  runs <- split(rows, list(rows$strategy, rows$replicate), drop = TRUE)
  low <- max(sapply(runs, function(run) min(run$labels)))
  high <- min(sapply(runs, function(run) max(run$labels)))
  areas <- data.frame(strategy = sapply(runs, function(run) run$strategy[1]),
                      replicate = sapply(runs, function(run) run$replicate[1]),
                      area = sapply(runs, area, low = low, high = high))
  random <- areas[areas$strategy == "random", ]
  do.call(rbind, lapply(unique(rows$strategy), function(name) {
    own <- areas[areas$strategy == name, ]
    out <- data.frame(rows[1, c("dataset", "model", "setting")], strategy = name, replicates = nrow(own), aulc = mean(own$area),
                      difference = NA, low = NA, high = NA, p = NA)
    pairs <- merge(own, random, by = "replicate")
    if (name != "random" && nrow(pairs) > 1) {
      test <- t.test(pairs$area.x, pairs$area.y, paired = TRUE)
      out[c("difference", "low", "high", "p")] <- c(test$estimate, test$conf.int, test$p.value)
    }
    out
  }))
}

path <- commandArgs(trailingOnly = TRUE)
if (length(path) != 1) stop("usage: Rscript curves.R curves.csv|study.db")
rows <- read_curves(path)
parts <- split(rows, factor(paste(rows$dataset, rows$model, rows$setting), unique(paste(rows$dataset, rows$model, rows$setting))))
options(digits = 17)
write.csv(do.call(rbind, lapply(parts, one_setting)), stdout(), row.names = FALSE, quote = FALSE, na = "")
