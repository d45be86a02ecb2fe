//! A linear program that grows: columns are priced in and rows added while its basis is kept.
//!
//! In: rows `a·x ≤ b` with `b ≥ 0`, one kind of row `a·x = b` with a column that stands in for what is not met yet, columns
//! `x ≥ 0`. Out: the optimum, its duals. Never: unbounded by a caller's mistake without saying so; a result that depends on
//! anything but the order of calls.
//!
//! Revised simplex with an explicit dense inverse of the basis: the masters of column generation here have tens of rows, where
//! a sparse factorisation would not pay. Right-hand sides are perturbed by parts in 10⁷ while the primal runs, since nearly all
//! of them are zero and the simplex would stand still; the true ones are put back before the optimum is read, and the dual
//! simplex mends what that breaks.

/// A column's number, as [`Simplex::add_column`] returned it.
pub(crate) type ColumnId = usize;
/// A row's number.
pub(crate) type RowId = usize;

/// How an optimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At the optimum.
    Optimal,
    /// The objective has no lower bound.
    Unbounded,
    /// It did not come to an end within the bound on pivots: numbers too unlike one another.
    Stalled,
}

#[derive(Clone, Debug)]
struct Column {
    cost: f64,
    /// Non-zero coefficients by row.
    entries: Vec<(RowId, f64)>,
    /// Where it stands in the basis.
    position: Option<usize>,
}

/// The linear program and its basis.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simplex {
    columns: Vec<Column>,
    /// The true right-hand side by row.
    rhs: Vec<f64>,
    /// What is added to it while the primal simplex runs.
    perturbation: Vec<f64>,
    /// The basic column by row of the inverse.
    basis: Vec<ColumnId>,
    /// Rows × rows, row-major: the inverse of the basis.
    inverse: Vec<f64>,
    /// Values of the basic columns.
    values: Vec<f64>,
    pivots_since_factored: usize,
    /// All pivots ever made: a measure of work that does not depend on the machine.
    pub(crate) pivots: u64,
}

/// Reduced costs above this count as none: costs are of the order of cents a GB.
const COST_TOLERANCE: f64 = 1e-10;
/// Coefficients below this are no pivots.
const PIVOT_TOLERANCE: f64 = 1e-9;
/// Values below zero by less than this are zero.
const VALUE_TOLERANCE: f64 = 1e-10;
const PERTURBATION: f64 = 1e-7;
const FACTOR_EVERY: usize = 100;

impl Simplex {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rhs.len()
    }

    /// Adds `Σ coefficient × column ≤ bound` over columns that exist already; its slack becomes basic, so the row must hold at
    /// the present solution.
    pub(crate) fn add_row(&mut self, bound: f64, entries: &[(ColumnId, f64)]) -> RowId {
        let slack = self.new_row(bound, 0.0);
        let row = self.basis.len();
        for (column, coefficient) in entries {
            self.columns[*column].entries.push((row, *coefficient));
        }
        self.extend_basis(slack, entries);
        row
    }

    /// Adds `Σ coefficient × column = bound`, met at first by a column of its own at `cost` for each unit not met.
    pub(crate) fn add_equality(&mut self, bound: f64, cost: f64) -> (RowId, ColumnId) {
        let short = self.new_row(bound, cost);
        let row = self.basis.len();
        self.extend_basis(short, &[]);
        (row, short)
    }

    fn new_row(&mut self, bound: f64, cost: f64) -> ColumnId {
        let row = self.rhs.len();
        self.rhs.push(bound);
        // Spread by the golden ratio: no two rows are moved alike.
        let spread = (row as f64 * 0.618_033_988_749_895).fract();
        self.perturbation.push(PERTURBATION * (0.5 + spread));
        self.columns.push(Column {
            cost,
            entries: vec![(row, 1.0)],
            position: None,
        });
        self.columns.len() - 1
    }

    /// The new last row's own column becomes basic: `[B 0; a 1]⁻¹ = [B⁻¹ 0; −a·B⁻¹ 1]`.
    fn extend_basis(&mut self, own: ColumnId, entries: &[(ColumnId, f64)]) {
        let old = self.basis.len();
        let new = old + 1;
        let mut inverse = vec![0.0; new * new];
        for row in 0..old {
            inverse[row * new..row * new + old]
                .copy_from_slice(&self.inverse[row * old..(row + 1) * old]);
        }
        for (column, coefficient) in entries {
            if let Some(position) = self.columns[*column].position {
                for at in 0..old {
                    inverse[old * new + at] -= coefficient * self.inverse[position * old + at];
                }
            }
        }
        inverse[old * new + old] = 1.0;
        self.inverse = inverse;
        self.columns[own].position = Some(old);
        self.basis.push(own);
        self.values.push(0.0);
    }

    /// Adds a column.
    pub(crate) fn add_column(&mut self, cost: f64, entries: Vec<(RowId, f64)>) -> ColumnId {
        self.columns.push(Column {
            cost,
            entries,
            position: None,
        });
        self.columns.len() - 1
    }

    /// A column's value at the last optimum.
    pub(crate) fn value(&self, column: ColumnId) -> f64 {
        self.columns[column]
            .position
            .map_or(0.0, |position| self.values[position].max(0.0))
    }

    /// The objective at the last optimum.
    pub(crate) fn objective(&self) -> f64 {
        let basic = self.basis.iter().zip(&self.values);
        basic
            .map(|(column, value)| self.columns[*column].cost * value)
            .sum()
    }

    /// Duals by row: `c_B·B⁻¹`. Of a `≤` row at an optimum it is ≤ 0.
    pub(crate) fn duals(&self) -> Vec<f64> {
        let rows = self.rows();
        let mut duals = vec![0.0; rows];
        for (position, column) in self.basis.iter().enumerate() {
            let cost = self.columns[*column].cost;
            if cost != 0.0 {
                let line = &self.inverse[position * rows..(position + 1) * rows];
                for (dual, coefficient) in duals.iter_mut().zip(line) {
                    *dual += cost * coefficient;
                }
            }
        }
        duals
    }

    fn reduced_cost(&self, column: &Column, duals: &[f64]) -> f64 {
        let entries = column.entries.iter();
        entries.fold(column.cost, |sum, (row, coefficient)| {
            sum - duals[*row] * coefficient
        })
    }

    /// To the optimum from wherever it stands.
    pub(crate) fn optimise(&mut self) -> End {
        self.refresh_values(true);
        let mut end = End::Optimal;
        if self.values.iter().any(|value| *value < -VALUE_TOLERANCE) {
            end = self.dual();
        }
        if end == End::Optimal {
            end = self.primal();
        }
        if end == End::Optimal {
            self.refresh_values(false);
            if self.values.iter().any(|value| *value < -VALUE_TOLERANCE) {
                end = self.dual();
            }
        }
        end
    }

    fn primal(&mut self) -> End {
        let most = 400 + 60 * self.rows();
        for turn in 0..most {
            let duals = self.duals();
            // The steepest, and after a long while the first: Bland's rule ends what the perturbation did not.
            let mut best: Option<(ColumnId, f64)> = None;
            for (id, column) in self.columns.iter().enumerate() {
                if column.position.is_some() {
                    continue;
                }
                let reduced = self.reduced_cost(column, &duals);
                if reduced < best.map_or(-COST_TOLERANCE, |(_, least)| least) {
                    best = Some((id, reduced));
                    if turn > most / 2 {
                        break;
                    }
                }
            }
            let Some((entering, _)) = best else {
                return End::Optimal;
            };
            let direction = self.direction(entering);
            let mut leaving: Option<(usize, f64)> = None;
            for (position, step) in direction.iter().enumerate() {
                if *step <= PIVOT_TOLERANCE {
                    continue;
                }
                let ratio = self.values[position].max(0.0) / step;
                let better = leaving.is_none_or(|(at, least)| {
                    ratio < least - 1e-14 || (ratio <= least + 1e-14 && *step > direction[at])
                });
                if better {
                    leaving = Some((position, ratio));
                }
            }
            let Some((position, _)) = leaving else {
                return End::Unbounded;
            };
            self.pivot(position, entering, &direction, true);
        }
        End::Stalled
    }

    /// Mends values below zero while reduced costs stay as they should be.
    fn dual(&mut self) -> End {
        let perturbed = false;
        self.refresh_values(perturbed);
        let most = 400 + 60 * self.rows();
        for _ in 0..most {
            let rows = self.rows();
            let worst = self
                .values
                .iter()
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(b.1))
                .filter(|(_, value)| **value < -VALUE_TOLERANCE);
            let Some((position, _)) = worst else {
                return End::Optimal;
            };
            let duals = self.duals();
            let line = &self.inverse[position * rows..(position + 1) * rows];
            let mut entering: Option<(ColumnId, f64, f64)> = None;
            for (id, column) in self.columns.iter().enumerate() {
                if column.position.is_some() {
                    continue;
                }
                let entries = column.entries.iter();
                let step: f64 = entries.map(|(row, value)| line[*row] * value).sum();
                if step >= -PIVOT_TOLERANCE {
                    continue;
                }
                let ratio = self.reduced_cost(column, &duals).max(0.0) / -step;
                let better = entering.is_none_or(|(_, least, pivot)| {
                    ratio < least - 1e-14 || (ratio <= least + 1e-14 && step < pivot)
                });
                if better {
                    entering = Some((id, ratio, step));
                }
            }
            // Rows hold at zero, so nothing here is infeasible: without a pivot the value is an error of rounding.
            let Some((id, ..)) = entering else {
                self.values[position] = 0.0;
                continue;
            };
            let direction = self.direction(id);
            self.pivot(position, id, &direction, perturbed);
        }
        End::Stalled
    }

    /// `B⁻¹·a` of a column.
    fn direction(&self, column: ColumnId) -> Vec<f64> {
        let rows = self.rows();
        let entries = &self.columns[column].entries;
        (0..rows)
            .map(|position| {
                let line = &self.inverse[position * rows..(position + 1) * rows];
                entries.iter().map(|(row, value)| line[*row] * value).sum()
            })
            .collect()
    }

    fn pivot(&mut self, position: usize, entering: ColumnId, direction: &[f64], perturbed: bool) {
        let rows = self.rows();
        self.pivots += 1;
        let pivot = direction[position];
        let leaving = self.basis[position];
        self.columns[leaving].position = None;
        self.columns[entering].position = Some(position);
        self.basis[position] = entering;
        let step = self.values[position] / pivot;
        let mut pivot_line = self.inverse[position * rows..(position + 1) * rows].to_vec();
        for value in &mut pivot_line {
            *value /= pivot;
        }
        for (at, factor) in direction.iter().enumerate() {
            if at == position {
                continue;
            }
            if *factor != 0.0 {
                self.values[at] -= factor * step;
                let line = &mut self.inverse[at * rows..(at + 1) * rows];
                for (value, pivot_value) in line.iter_mut().zip(&pivot_line) {
                    *value -= factor * pivot_value;
                }
            }
        }
        self.values[position] = step;
        self.inverse[position * rows..(position + 1) * rows].copy_from_slice(&pivot_line);
        self.pivots_since_factored += 1;
        if self.pivots_since_factored >= FACTOR_EVERY {
            self.factor();
            self.refresh_values(perturbed);
        }
    }

    /// The inverse from scratch, by Gauss–Jordan with row pivoting. A basis that has become singular to the eye of the
    /// tolerance is left as it is.
    fn factor(&mut self) {
        self.pivots_since_factored = 0;
        let rows = self.rows();
        let width = 2 * rows;
        let mut work = vec![0.0; rows * width];
        for (position, column) in self.basis.iter().enumerate() {
            for (row, value) in &self.columns[*column].entries {
                work[row * width + position] = *value;
            }
        }
        for row in 0..rows {
            work[row * width + rows + row] = 1.0;
        }
        for column in 0..rows {
            let largest = (column..rows).max_by(|a, b| {
                work[a * width + column]
                    .abs()
                    .total_cmp(&work[b * width + column].abs())
            });
            let Some(best) = largest else { return };
            if work[best * width + column].abs() < 1e-13 {
                return;
            }
            if best != column {
                for at in 0..width {
                    work.swap(best * width + at, column * width + at);
                }
            }
            let pivot = work[column * width + column];
            let mut line = work[column * width..(column + 1) * width].to_vec();
            line.iter_mut().for_each(|value| *value /= pivot);
            for row in (0..rows).filter(|row| *row != column) {
                let factor = work[row * width + column];
                if factor != 0.0 {
                    let target = &mut work[row * width..(row + 1) * width];
                    for (value, from) in target.iter_mut().zip(&line) {
                        *value -= factor * from;
                    }
                }
            }
            work[column * width..(column + 1) * width].copy_from_slice(&line);
        }
        for row in 0..rows {
            self.inverse[row * rows..(row + 1) * rows]
                .copy_from_slice(&work[row * width + rows..(row + 1) * width]);
        }
    }

    fn refresh_values(&mut self, perturbed: bool) {
        let rows = self.rows();
        let factor = f64::from(u8::from(perturbed));
        let sides = self.rhs.iter().zip(&self.perturbation);
        let sides: Vec<f64> = sides.map(|(rhs, extra)| rhs + factor * extra).collect();
        self.values = (0..rows)
            .map(|position| {
                let line = &self.inverse[position * rows..(position + 1) * rows];
                line.iter().zip(&sides).map(|(a, b)| a * b).sum()
            })
            .collect();
    }
}
