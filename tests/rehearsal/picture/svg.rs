//! A drawing in SVG, as text.

use std::fmt::Write;

pub struct Svg(String);

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"system-ui, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#111217\"/>\n"
        ))
    }

    pub fn rect(&mut self, (x, y, width, height): (f64, f64, f64, f64), fill: &str, opacity: f64, radius: f64) {
        writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>"
        )
        .unwrap();
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        writeln!(
            self.0,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\" stroke-width=\"1\"/>",
            from.0, from.1, to.0, to.1
        )
        .unwrap();
    }

    /// A curve; `base` closes it downwards and fills it.
    pub fn curve(&mut self, points: &[(f64, f64)], colour: &str, base: Option<&[(f64, f64)]>) {
        let path = |points: &mut dyn Iterator<Item = &(f64, f64)>| {
            points.map(|(x, y)| format!("{x:.1} {y:.1}")).collect::<Vec<_>>().join("L")
        };
        if let Some(base) = base {
            let area = path(&mut points.iter().chain(base.iter().rev()));
            writeln!(self.0, "<path d=\"M{area}Z\" fill=\"{colour}\" fill-opacity=\"0.22\"/>").unwrap();
        }
        let path = path(&mut points.iter());
        writeln!(self.0, "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\"/>").unwrap();
    }

    pub fn text(&mut self, x: f64, y: f64, size: f64, colour: &str, anchor: &str, text: &str) {
        let text = escape(text);
        writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>"
        )
        .unwrap();
    }

    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}
