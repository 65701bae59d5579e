//! One event in memory, and its fields in Avazu's order.

/// The header line of CSV.
pub(crate) const CSV_HEADER: &str = "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,\
device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21";

/// A field; the discriminant is its place in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Click,
    Hour,
    C1,
    BannerPos,
    SiteId,
    SiteDomain,
    SiteCategory,
    AppId,
    AppDomain,
    AppCategory,
    DeviceId,
    DeviceIp,
    DeviceModel,
    DeviceType,
    DeviceConnType,
    C14,
    C15,
    C16,
    C17,
    C18,
    C19,
    C20,
    C21,
}

impl Field {
    /// All fields in their order.
    pub(crate) const ALL: [Field; 24] = [
        Self::Id,
        Self::Click,
        Self::Hour,
        Self::C1,
        Self::BannerPos,
        Self::SiteId,
        Self::SiteDomain,
        Self::SiteCategory,
        Self::AppId,
        Self::AppDomain,
        Self::AppCategory,
        Self::DeviceId,
        Self::DeviceIp,
        Self::DeviceModel,
        Self::DeviceType,
        Self::DeviceConnType,
        Self::C14,
        Self::C15,
        Self::C16,
        Self::C17,
        Self::C18,
        Self::C19,
        Self::C20,
        Self::C21,
    ];

    /// What precedes the field's value in a JSON object.
    pub(crate) fn json_key(self) -> &'static [u8] {
        match self {
            Self::Id => br#"{"id":"#,
            Self::Click => br#","click":"#,
            Self::Hour => br#","hour":"#,
            Self::C1 => br#","C1":"#,
            Self::BannerPos => br#","banner_pos":"#,
            Self::SiteId => br#","site_id":"#,
            Self::SiteDomain => br#","site_domain":"#,
            Self::SiteCategory => br#","site_category":"#,
            Self::AppId => br#","app_id":"#,
            Self::AppDomain => br#","app_domain":"#,
            Self::AppCategory => br#","app_category":"#,
            Self::DeviceId => br#","device_id":"#,
            Self::DeviceIp => br#","device_ip":"#,
            Self::DeviceModel => br#","device_model":"#,
            Self::DeviceType => br#","device_type":"#,
            Self::DeviceConnType => br#","device_conn_type":"#,
            Self::C14 => br#","C14":"#,
            Self::C15 => br#","C15":"#,
            Self::C16 => br#","C16":"#,
            Self::C17 => br#","C17":"#,
            Self::C18 => br#","C18":"#,
            Self::C19 => br#","C19":"#,
            Self::C20 => br#","C20":"#,
            Self::C21 => br#","C21":"#,
        }
    }
}

/// A site or an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: u32,
    pub(crate) domain: u32,
    pub(crate) category: u32,
}

/// What is advertised: Avazu's anonymous C14 to C19 and C21.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Creative {
    pub(crate) c14: i32,
    /// Width in pixels.
    pub(crate) c15: i32,
    /// Height in pixels.
    pub(crate) c16: i32,
    pub(crate) c17: i32,
    pub(crate) c18: i32,
    pub(crate) c19: i32,
    pub(crate) c21: i32,
}

/// One valid event. Codes are the numbers that eight hexadecimal digits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) time_ms: i64,
    pub(crate) click: bool,
    pub(crate) banner_pos: u8,
    pub(crate) device_type: u8,
    pub(crate) device_conn_type: u8,
    pub(crate) c1: i32,
    pub(crate) site: Place,
    pub(crate) app: Place,
    pub(crate) device_id: u32,
    pub(crate) device_ip: u32,
    pub(crate) device_model: u32,
    pub(crate) creative: Creative,
    pub(crate) c20: i32,
}

/// A field's value, by how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Id(u64),
    Time(i64),
    Number(i32),
    Code(u32),
}

impl Event {
    /// The value of one field.
    pub(crate) fn value(&self, field: Field) -> Value {
        match field {
            Field::Id => Value::Id(self.id),
            Field::Click => Value::Number(i32::from(self.click)),
            Field::Hour => Value::Time(self.time_ms),
            Field::C1 => Value::Number(self.c1),
            Field::BannerPos => Value::Number(i32::from(self.banner_pos)),
            Field::SiteId => Value::Code(self.site.id),
            Field::SiteDomain => Value::Code(self.site.domain),
            Field::SiteCategory => Value::Code(self.site.category),
            Field::AppId => Value::Code(self.app.id),
            Field::AppDomain => Value::Code(self.app.domain),
            Field::AppCategory => Value::Code(self.app.category),
            Field::DeviceId => Value::Code(self.device_id),
            Field::DeviceIp => Value::Code(self.device_ip),
            Field::DeviceModel => Value::Code(self.device_model),
            Field::DeviceType => Value::Number(i32::from(self.device_type)),
            Field::DeviceConnType => Value::Number(i32::from(self.device_conn_type)),
            Field::C14 => Value::Number(self.creative.c14),
            Field::C15 => Value::Number(self.creative.c15),
            Field::C16 => Value::Number(self.creative.c16),
            Field::C17 => Value::Number(self.creative.c17),
            Field::C18 => Value::Number(self.creative.c18),
            Field::C19 => Value::Number(self.creative.c19),
            Field::C20 => Value::Number(self.c20),
            Field::C21 => Value::Number(self.creative.c21),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_keys_agree() {
        let keys: Vec<String> = Field::ALL
            .iter()
            .map(|field| String::from_utf8(field.json_key().to_vec()).unwrap())
            .map(|key| key[2..key.len() - 2].to_owned())
            .collect();
        assert_eq!(keys.join(","), CSV_HEADER);
    }
}
