//! Mixed-integer programmes as values: solved here where they are small, written as MPS for whoever has a larger solver.

use std::fmt::Write;

/// A variable's number.
pub type VariableId = usize;

/// A variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name; unique.
    pub name: String,
    /// What a unit adds to the objective.
    pub cost: f64,
    /// Least value.
    pub least: f64,
    /// Greatest value; infinite where there is none.
    pub most: f64,
    /// Whether it must be whole.
    pub whole: bool,
}

/// How a row's sum stands to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// No more.
    AtMost,
    /// No less.
    AtLeast,
    /// The same.
    Equal,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Its name; unique.
    pub name: String,
    /// Coefficients.
    pub terms: Vec<(VariableId, f64)>,
    /// How the sum stands to the bound.
    pub sense: Sense,
    /// The bound.
    pub bound: f64,
}

/// A programme that is minimised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Its variables.
    pub variables: Vec<Variable>,
    /// Its rows.
    pub constraints: Vec<Constraint>,
}

/// What a solver found.
#[derive(Clone, Debug, PartialEq)]
pub enum Solved {
    /// The optimum and the variables' values.
    Optimal {
        /// The objective.
        objective: f64,
        /// By variable.
        values: Vec<f64>,
    },
    /// No values satisfy all rows.
    Infeasible,
    /// The solver gave up; why.
    Failed(String),
}

impl Model {
    /// Adds a variable.
    pub fn variable(
        &mut self,
        name: String,
        cost: f64,
        least: f64,
        most: f64,
        whole: bool,
    ) -> VariableId {
        self.variables.push(Variable {
            name,
            cost,
            least,
            most,
            whole,
        });
        self.variables.len() - 1
    }

    /// Adds a row.
    pub fn constrain(
        &mut self,
        name: String,
        terms: Vec<(VariableId, f64)>,
        sense: Sense,
        bound: f64,
    ) {
        self.constraints.push(Constraint {
            name,
            terms,
            sense,
            bound,
        });
    }

    /// How many variables must be whole.
    pub fn whole_variables(&self) -> usize {
        self.variables
            .iter()
            .filter(|variable| variable.whole)
            .count()
    }

    /// Solves it by microlp's branch and bound.
    pub fn solve(&self) -> Solved {
        let mut problem = microlp::Problem::new(microlp::OptimizationDirection::Minimize);
        let variables: Vec<microlp::Variable> = self
            .variables
            .iter()
            .map(|variable| match variable.whole {
                true => {
                    let most = variable.most.min(f64::from(i32::MAX)) as i32;
                    problem.add_integer_var(variable.cost, (variable.least as i32, most))
                }
                false => problem.add_var(variable.cost, (variable.least, variable.most)),
            })
            .collect();
        for row in &self.constraints {
            let terms = row.terms.iter();
            let terms: Vec<_> = terms.map(|(at, value)| (variables[*at], *value)).collect();
            let sense = match row.sense {
                Sense::AtMost => microlp::ComparisonOp::Le,
                Sense::AtLeast => microlp::ComparisonOp::Ge,
                Sense::Equal => microlp::ComparisonOp::Eq,
            };
            problem.add_constraint(terms, sense, row.bound);
        }
        match problem.solve() {
            Ok(microlp::SolveOutcome::Solution(solution)) => Solved::Optimal {
                objective: solution.objective(),
                values: variables
                    .iter()
                    .map(|variable| solution[*variable])
                    .collect(),
            },
            Ok(microlp::SolveOutcome::Interrupted(_)) => {
                Solved::Failed("it was interrupted, though nothing limits it".into())
            }
            Err(microlp::Error::Infeasible) => Solved::Infeasible,
            Err(error) => Solved::Failed(error.to_string()),
        }
    }

    /// The programme in free MPS, which every solver reads: names, rows, columns, bounds, whole variables between markers.
    pub fn to_mps(&self) -> String {
        let mut text = String::from("NAME overlay\nROWS\n N cost\n");
        for row in &self.constraints {
            let kind = match row.sense {
                Sense::AtMost => 'L',
                Sense::AtLeast => 'G',
                Sense::Equal => 'E',
            };
            let _ = writeln!(text, " {kind} {}", row.name);
        }
        let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.variables.len()];
        for (at, row) in self.constraints.iter().enumerate() {
            for (variable, value) in &row.terms {
                columns[*variable].push((at, *value));
            }
        }
        text.push_str("COLUMNS\n");
        let mut marked = false;
        let mut marks = 0;
        for (variable, column) in self.variables.iter().zip(&columns) {
            if variable.whole != marked {
                let kind = if variable.whole { "INTORG" } else { "INTEND" };
                let _ = writeln!(text, " M{marks} 'MARKER' '{kind}'");
                marks += 1;
                marked = variable.whole;
            }
            let _ = writeln!(text, " {} cost {}", variable.name, variable.cost);
            for (row, value) in column {
                let _ = writeln!(
                    text,
                    " {} {} {value}",
                    variable.name, self.constraints[*row].name
                );
            }
        }
        if marked {
            let _ = writeln!(text, " M{marks} 'MARKER' 'INTEND'");
        }
        text.push_str("RHS\n");
        for row in &self.constraints {
            if row.bound != 0.0 {
                let _ = writeln!(text, " rhs {} {}", row.name, row.bound);
            }
        }
        text.push_str("BOUNDS\n");
        for variable in &self.variables {
            let _ = writeln!(text, " LO bnd {} {}", variable.name, variable.least);
            if variable.most.is_finite() {
                let _ = writeln!(text, " UP bnd {} {}", variable.name, variable.most);
            } else {
                let _ = writeln!(text, " PL bnd {}", variable.name);
            }
        }
        text.push_str("ENDATA\n");
        text
    }
}
